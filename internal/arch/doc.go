// Package arch holds no code, only a test: it reads the import lists of all packages and fails when an arrow between
// the rooms is wrong, when a library is imported outside the one package that owns it, or when a package breaks a house
// rule that a compiler does not know (docs/DESIGN.md, "Rooms").
//
//	main -> config
//	main -> agent | ingest | process | store | query      none of them imports another
//	         all of them -> bess, internal/...
package arch
