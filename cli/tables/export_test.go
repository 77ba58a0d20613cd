package tables

// Described is described, for a factory that has words as well.
var Described = described
