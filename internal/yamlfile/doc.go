// Package yamlfile reads the YAML files in which operators say what they want. What is
// wrong with one is told by file, line and column, with the line itself; and whatever a
// file holds, reading it takes bounded time and memory.
//
// A file is one document in UTF-8, of at most MaxSize bytes, with a mapping at the top. No
// key stands twice in a mapping, and every key is a scalar. Anchors, aliases and merge keys
// are allowed, within bounds; tags other than YAML's own for texts, numbers, booleans,
// lists and mappings are not.
package yamlfile
