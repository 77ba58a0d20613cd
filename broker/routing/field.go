package routing

import "fmt"

// FieldError says what is wrong with a field of a route's description, by the field's name
// in the configuration and the contract: "match", "exec.max_time".
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FieldError) Unwrap() error { return e.Err }

// WrongField is the error of a field that is wrong in that way.
func WrongField(field, format string, args ...any) error {
	return &FieldError{field, fmt.Errorf(format, args...)}
}
