// Package hotkeys finds the keys that are asked for most, in fixed memory: Space-Saving
// (Metwally, Agrawal and El Abbadi, 2005) over a sample of the hits and all of the misses.
//
// It stands beside the memory tier and not in it: a hit pays for nothing but being picked.
package hotkeys
