package delta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// The highest protocol versions that this package understands and the ones
// that it writes. A table that asks for more is refused.
const (
	readerVersion = 1
	writerVersion = 2
)

// action is one line of a commit. Exactly one field is set in what we know;
// lines of kinds that we do not know are ignored, as the protocol says,
// because what must not be ignored raises the protocol versions.
type action struct {
	CommitInfo *commitInfo `json:"commitInfo,omitempty"`
	Protocol   *protocol   `json:"protocol,omitempty"`
	MetaData   *metaData   `json:"metaData,omitempty"`
	Txn        *txn        `json:"txn,omitempty"`
	Add        *addFile    `json:"add,omitempty"`
	Remove     *removeFile `json:"remove,omitempty"`
}

type commitInfo struct {
	Timestamp           int64             `json:"timestamp"`
	Operation           string            `json:"operation"`
	OperationParameters map[string]string `json:"operationParameters"`
	EngineInfo          string            `json:"engineInfo"`
	TxnID               string            `json:"txnId"`
	IsBlindAppend       bool              `json:"isBlindAppend"`
	Tags                map[string]string `json:"tags,omitempty"`
}

type protocol struct {
	MinReaderVersion int32    `json:"minReaderVersion"`
	MinWriterVersion int32    `json:"minWriterVersion"`
	ReaderFeatures   []string `json:"readerFeatures,omitempty"`
	WriterFeatures   []string `json:"writerFeatures,omitempty"`
}

func (p *protocol) check() error {
	if p.MinReaderVersion > readerVersion || p.MinWriterVersion > writerVersion || len(p.ReaderFeatures)+len(p.WriterFeatures) > 0 {
		return &ProtocolError{Reader: int(p.MinReaderVersion), Writer: int(p.MinWriterVersion), Features: append(p.ReaderFeatures, p.WriterFeatures...)}
	}
	return nil
}

type metaData struct {
	ID               string            `json:"id"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Format           fileFormat        `json:"format"`
	SchemaString     string            `json:"schemaString"`
	PartitionColumns []string          `json:"partitionColumns"`
	Configuration    map[string]string `json:"configuration"`
	CreatedTime      int64             `json:"createdTime,omitempty"`
}

type fileFormat struct {
	Provider string            `json:"provider"`
	Options  map[string]string `json:"options"`
}

type txn struct {
	AppID       string `json:"appId"`
	Version     int64  `json:"version"`
	LastUpdated int64  `json:"lastUpdated,omitempty"`
}

type addFile struct {
	Path             string             `json:"path"`
	PartitionValues  map[string]*string `json:"partitionValues"`
	Size             int64              `json:"size"`
	ModificationTime int64              `json:"modificationTime"`
	DataChange       bool               `json:"dataChange"`
	Stats            string             `json:"stats,omitempty"`
	Tags             map[string]string  `json:"tags,omitempty"`
	DeletionVector   json.RawMessage    `json:"deletionVector,omitempty"`
}

type removeFile struct {
	Path                 string             `json:"path"`
	DeletionTimestamp    int64              `json:"deletionTimestamp,omitempty"`
	DataChange           bool               `json:"dataChange"`
	ExtendedFileMetadata bool               `json:"extendedFileMetadata,omitempty"`
	PartitionValues      map[string]*string `json:"partitionValues,omitempty"`
	Size                 int64              `json:"size,omitempty"`
	DeletionVector       json.RawMessage    `json:"deletionVector,omitempty"`
}

// parseCommit reads the lines of one version. A line that is no JSON object
// means a torn or foreign file: the version is refused, never skipped.
func parseCommit(data []byte) ([]action, error) {
	var out []action
	for n := 1; len(data) > 0; n++ {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		// commitInfo is free-form for other writers: read it apart and mildly.
		var raw struct {
			action
			CommitInfo json.RawMessage `json:"commitInfo"`
		}
		if err := json.Unmarshal(line, &raw); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if a := raw.action; a.Add != nil && len(a.Add.DeletionVector) > 0 && string(a.Add.DeletionVector) != "null" {
			return nil, &ProtocolError{Features: []string{"deletionVectors"}}
		}
		if len(raw.CommitInfo) > 0 {
			var id struct {
				TxnID string `json:"txnId"`
			}
			if json.Unmarshal(raw.CommitInfo, &id) == nil {
				raw.action.CommitInfo = &commitInfo{TxnID: id.TxnID}
			}
		}
		if raw.action != (action{}) {
			out = append(out, raw.action)
		}
	}
	return out, nil
}

// encodeCommit writes the lines of one version.
func encodeCommit(actions []action) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // ends each value with a newline
	enc.SetEscapeHTML(false)
	for _, a := range actions {
		if err := enc.Encode(a); err != nil {
			return nil, fmt.Errorf("encoding a commit: %w", err)
		}
	}
	return b.Bytes(), nil
}

// decodePath turns a path of the log (URI-encoded) into an object's name
// relative to the table.
func decodePath(p string) (string, error) {
	s, err := url.PathUnescape(p)
	if err != nil {
		return "", fmt.Errorf("path %q of the log: %w", p, err)
	}
	if strings.Contains(p, "://") || strings.HasPrefix(s, "/") {
		return "", fmt.Errorf("path %q of the log lies outside the table, which is not supported", p)
	}
	return s, nil
}

// checkPath refuses names of our own that would have to be encoded: engines
// differ in how they do that.
func checkPath(p string) error {
	for _, r := range p {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("=._-/", r):
		default:
			return fmt.Errorf("path %q has a character other than letters, digits and =._-", p)
		}
	}
	if p == "" || p[0] == '/' || p[0] == '_' || p[0] == '.' {
		return fmt.Errorf("path %q cannot be a data file's", p)
	}
	return nil
}
