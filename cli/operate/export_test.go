package operate

// SourceOf is what top asks.
var SourceOf = sourceOf
