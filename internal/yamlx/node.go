package yamlx

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// Node is a part of a document, handed to an Unmarshaler.
type Node struct {
	n    *yaml.Node
	dec  *decoder
	path string
}

// NodeKind is what a node is.
type NodeKind uint8

// Kinds of nodes.
const (
	NullNode NodeKind = iota
	ScalarNode
	ListNode
	MapNode
)

// Kind tells what the node is.
func (n Node) Kind() NodeKind {
	switch {
	case n.n.Kind == yaml.MappingNode:
		return MapNode
	case n.n.Kind == yaml.SequenceNode:
		return ListNode
	case n.n.ShortTag() == "!!null":
		return NullNode
	}
	return ScalarNode
}

// Text is the text of a scalar as written (quotes removed, variables not expanded), "" for other nodes.
func (n Node) Text() string { return n.n.Value }

// Pos is the node's place.
func (n Node) Pos() Pos { return Pos{n.dec.doc.file, n.n.Line, n.n.Column} }

// Path is the node's path.
func (n Node) Path() string { return n.path }

// Decode reads the node into out, a non-nil pointer, under the same rules as everywhere.
func (n Node) Decode(out any) { n.dec.value(n.n, reflect.ValueOf(out).Elem(), n.path) }

// Each visits the pairs of a mapping in the file's order.
func (n Node) Each(visit func(key string, value Node)) {
	if n.n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.n.Content); i += 2 {
		k := n.n.Content[i].Value
		visit(k, Node{follow(n.n.Content[i+1]), n.dec, join(n.path, k)})
	}
}

// Items gives the elements of a list.
func (n Node) Items() []Node {
	if n.n.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]Node, len(n.n.Content))
	for i, c := range n.n.Content {
		items[i] = Node{follow(c), n.dec, fmt.Sprintf("%s[%d]", n.path, i)}
	}
	return items
}

// Errorf notes a problem at the node.
func (n Node) Errorf(format string, args ...any) { n.dec.fail(n.n, n.path, format, args...) }
