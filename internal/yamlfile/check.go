package yamlfile

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"
)

// known are the tags that a value may have.
var known = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!merge", "!!timestamp"}

// checker looks at every node of a document before anybody makes values of it.
type checker struct {
	d     *Document
	found Problems
	// shapes are those of the nodes that aliases stand for, so that each is looked at once.
	shapes map[*yaml.Node]shape
}

// shape is how many nodes one stands for, itself included, and how deep they are nested.
type shape struct{ size, height int }

func newChecker(d *Document) *checker { return &checker{d: d, shapes: map[*yaml.Node]shape{}} }

// check returns what is wrong below a node.
func (c *checker) check(top *yaml.Node) Problems {
	if c.shape(top, 0).size > maxNodes && len(c.found) == 0 {
		c.wrong(top, fmt.Errorf("stands for more than %d values", maxNodes))
	}
	return c.found
}

func (c *checker) wrong(n *yaml.Node, err error) {
	if len(c.found) < maxFound {
		c.found = append(c.found, c.d.At(n, err))
	}
}

// shape checks a node at a depth, and returns its own.
func (c *checker) shape(n *yaml.Node, depth int) shape {
	if n.Kind == yaml.AliasNode {
		s, done := c.shapes[n.Alias]
		if !done { // an anchor stands before its aliases, so this one is inside it
			c.wrong(n, fmt.Errorf("%s stands for itself", n.Value))
			return shape{}
		}
		c.checkDepth(n, depth+s.height)
		return s
	}
	if !c.checkDepth(n, depth) {
		return shape{}
	}
	c.checkTag(n)
	if n.Kind == yaml.MappingNode {
		c.checkKeys(n)
	}
	s := shape{size: 1}
	for _, below := range n.Content {
		b := c.shape(below, depth+1)
		s.size, s.height = min(s.size+b.size, maxNodes+1), max(s.height, b.height+1)
	}
	if n.Anchor != "" {
		c.shapes[n] = s
	}
	return s
}

// checkDepth tells whether there may be nodes at that depth.
func (c *checker) checkDepth(n *yaml.Node, depth int) bool {
	if depth > maxDepth && len(c.found) == 0 {
		c.wrong(n, fmt.Errorf("is nested more than %d deep", maxDepth))
	}
	return depth <= maxDepth
}

// checkTag refuses what would have to be understood. A date is a text here.
func (c *checker) checkTag(n *yaml.Node) {
	switch tag := n.ShortTag(); {
	case !slices.Contains(known, tag):
		c.wrong(n, fmt.Errorf("the tag %s means nothing here", tag))
	case tag == "!!timestamp":
		n.Tag = "!!str"
	}
}

// checkKeys refuses keys that stand twice, or are no scalars.
func (c *checker) checkKeys(n *yaml.Node) {
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key := behind(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			c.wrong(n.Content[i], errors.New("a list or a mapping can't be a key"))
			continue
		}
		if line, twice := lines[key.Value]; twice {
			c.wrong(n.Content[i], fmt.Errorf("the key %s stands here again: it is in line %d already", key.Value, line))
		} else {
			lines[key.Value] = n.Content[i].Line
		}
		if key.ShortTag() == "!!merge" {
			c.checkMerged(n.Content[i+1])
		}
	}
}

// checkMerged refuses what can't be merged.
func (c *checker) checkMerged(value *yaml.Node) {
	from := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		from = value.Content
	}
	for _, m := range from {
		if behind(m).Kind != yaml.MappingNode {
			c.wrong(m, errors.New("only mappings can be merged"))
		}
	}
}
