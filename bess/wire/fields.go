package wire

import "google.golang.org/protobuf/encoding/protowire"

// Field numbers of bessd.proto. They are frozen; new fields take new numbers.
const (
	envScan   protowire.Number = 1
	envDevice protowire.Number = 2
	envEvent  protowire.Number = 3
	envRaw    protowire.Number = 4

	// The same in Scan, DeviceRecord and AgentEvent where they exist.
	fSite   protowire.Number = 1
	fDevice protowire.Number = 2
	fKind   protowire.Number = 3
	fEpoch  protowire.Number = 4
	fSeq    protowire.Number = 5 // rec in records
	fTS     protowire.Number = 6
	fSchema protowire.Number = 7

	scanUS       protowire.Number = 8
	scanQuality  protowire.Number = 9
	scanFlags    protowire.Number = 10
	scanAbsent   protowire.Number = 11
	scanValues   protowire.Number = 12
	scanTexts    protowire.Number = 13
	scanLists    protowire.Number = 14
	scanRejected protowire.Number = 15

	schemaMap     protowire.Number = 1
	schemaPeriods protowire.Number = 2
	schemaColumns protowire.Number = 3
	schemaTexts   protowire.Number = 4
	schemaLists   protowire.Number = 5
	schemaExtra   protowire.Number = 6
	schemaTiers   protowire.Number = 7

	extraName     protowire.Number = 1
	extraDecimals protowire.Number = 2

	listDeltas protowire.Number = 1
	listAbsent protowire.Number = 2

	devCause          protowire.Number = 8
	devParent         protowire.Number = 9
	devEndpoint       protowire.Number = 10
	devUnitID         protowire.Number = 11
	devNotImplemented protowire.Number = 12
	devIdentity       protowire.Number = 13
	devNameplate      protowire.Number = 14

	evPrevEpoch    protowire.Number = 8
	evVersion      protowire.Number = 9
	evHost         protowire.Number = 10
	evSpoolRecords protowire.Number = 11
	evSpoolBytes   protowire.Number = 12
	evLastSeq      protowire.Number = 13
	evClockStep    protowire.Number = 14
	evDropped      protowire.Number = 15
	evNote         protowire.Number = 16

	seqDevice protowire.Number = 1
	seqSeq    protowire.Number = 2

	dropDevice protowire.Number = 1
	dropEpoch  protowire.Number = 2
	dropFirst  protowire.Number = 3
	dropLast   protowire.Number = 4
	dropReason protowire.Number = 5

	mapKey   protowire.Number = 1
	mapValue protowire.Number = 2
)
