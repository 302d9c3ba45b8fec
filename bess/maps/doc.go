// Package maps knows what stands in the registers of devices and where it belongs: facts of SunSpec models, the rules
// that put their points onto vocabulary columns, and YAML register maps.
//
//	sunspec_models.tsv (facts) + sunspec.go (columns) --agent/sunspec finds the models--> Layout
//	*.yaml (built in, or a user's file)               --Load, Map.Layout----------------> Layout
//
// A Layout is plain data: the devices that one Modbus unit feeds, the fields of each with the registers that they come
// from, and the register points that a reader must not cut. The agent plans its requests from it. See docs/format/maps.md.
package maps
