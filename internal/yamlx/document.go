package yamlx

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Document is a parsed file. It is immutable and safe for concurrent use.
type Document struct {
	file   string
	root   *yaml.Node // nil for an empty file
	places map[string]Pos
}

// maxDepth and maxNodes bound what anchors may unfold to.
const (
	maxDepth = 64
	maxNodes = 100_000
)

// Parse reads one YAML document; file names it in messages. An empty file is an empty document.
func Parse(file string, data []byte) (*Document, error) {
	d := &Document{file: file, places: map[string]Pos{}}
	if len(strings.TrimSpace(string(data))) == 0 {
		return d, nil
	}
	var n yaml.Node
	if err := yaml.Load(data, &n); err != nil {
		if strings.Contains(err.Error(), "no documents in stream") {
			return d, nil
		}
		return nil, Problems{syntaxProblem(file, err)}
	}
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		d.root = n.Content[0]
		budget := maxNodes
		if !d.index(d.root, "", 0, &budget) {
			return nil, Problems{{Pos: Pos{File: file}, Message: "anchors and aliases unfold too far; write the values out"}}
		}
	}
	return d, nil
}

func syntaxProblem(file string, err error) Problem {
	p := Problem{Pos: Pos{File: file}, Message: err.Error()}
	var le *yaml.LoadError
	if errors.As(err, &le) {
		p.Line, p.Column, p.Message = le.Mark.Line, le.Mark.Column, le.Message
		if le.ContextMsg != "" {
			p.Message = le.ContextMsg + ": " + le.Message
		}
	}
	if strings.Contains(p.Message, "expected single document") {
		p.Message = "more than one document; remove the lines that read ---"
	}
	p.Message = "not valid YAML: " + strings.TrimPrefix(p.Message, "yaml: ")
	return p
}

// index notes the place of every path; it reports false when the document is too deep or too large.
func (d *Document) index(n *yaml.Node, path string, depth int, budget *int) bool {
	if *budget--; depth > maxDepth || *budget < 0 {
		return false
	}
	if _, seen := d.places[path]; !seen {
		d.places[path] = Pos{d.file, n.Line, n.Column}
	}
	n = follow(n)
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := join(path, n.Content[i].Value)
			if _, seen := d.places[key]; !seen {
				d.places[key] = Pos{d.file, n.Content[i].Line, n.Content[i].Column}
			}
			if !d.index(n.Content[i+1], key, depth+1, budget) {
				return false
			}
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			if !d.index(c, fmt.Sprintf("%s[%d]", path, i), depth+1, budget) {
				return false
			}
		}
	}
	return true
}

func follow(n *yaml.Node) *yaml.Node {
	for i := 0; n.Kind == yaml.AliasNode && n.Alias != nil && i < maxDepth; i++ {
		n = n.Alias
	}
	return n
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// File is the name that the document was parsed under.
func (d *Document) File() string { return d.file }

// Keys lists the top-level keys in the order of the file.
func (d *Document) Keys() []string {
	var keys []string
	if d.root != nil && follow(d.root).Kind == yaml.MappingNode {
		c := follow(d.root).Content
		for i := 0; i+1 < len(c); i += 2 {
			keys = append(keys, c[i].Value)
		}
	}
	return keys
}

// Has reports whether the file has something at path.
func (d *Document) Has(path string) bool { _, ok := d.places[path]; return ok }

// At gives the place of path's key, or of the nearest part of the path that the file has.
func (d *Document) At(path string) Pos {
	for {
		if p, ok := d.places[path]; ok {
			return p
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	return Pos{File: d.file, Line: 1, Column: 1}
}

// Problem makes a problem at path.
func (d *Document) Problem(path, format string, args ...any) Problem {
	return Problem{Pos: d.At(path), Path: path, Message: fmt.Sprintf(format, args...)}
}
