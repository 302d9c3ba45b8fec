// Package yamlx reads the YAML that people write: configurations and register maps. It is the only importer of a YAML
// library. Decoding is strict and tells all problems of a file at once, each with file, line and column, the nearest
// valid key and what to write instead.
//
//	bytes -> Parse -> Document -> Decode(&struct) -> Problems
//	                     |
//	                     +-- Problem("kafka.brokers[0]", ...): a later check names the place of a value by its path
//
// Struct fields take `yaml:"key"`, `yaml:"key,required"` or `yaml:"-"`; a field without a tag is not read. Embedded
// structs are inlined. A field of type Pos receives the place of its struct. Values already in the target are defaults:
// a key that is not in the file leaves them alone; a list or map in the file replaces the whole list or map. Elements of
// lists and maps that implement Defaulter get their defaults before they are read.
//
// Beside Go's basic types: time.Duration ("250ms", "15m", "7d"), Size ("64MiB"), Secret, encoding.TextUnmarshaler, any,
// and types that implement Unmarshaler. With Options.Env, ${NAME} in a value is replaced by the environment variable
// ($${ stands for ${); the result is one value, never parsed as YAML again.
package yamlx
