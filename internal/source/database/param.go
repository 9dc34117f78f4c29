package database

import "hearth/internal/param"

// Param is a path parameter of a resource.
type Param = param.Param
