package main

var scenarios = []scenario{
	{"lag", "others change rows of PostgreSQL, one after the other, while all instances are read", lag},
}
