// Package config reads the configuration files of bessd: one struct per mode, strictly, with all problems at once.
//
//	defaults -> YAML over them (unknown key = problem) -> ${NAME} and secret files -> relative paths -> checks -> File
//
// It knows the form of the files and what can be told without the parts that are configured; those check their own
// figures when package main hands them over, and File.Place finds the lines for what they say. The structs are plain data
// and immutable once loaded; there is no reload.
package config
