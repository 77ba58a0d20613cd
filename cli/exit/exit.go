// Package exit is with which code the program ends, and what each means to a script.
package exit

import (
	"errors"
	"fmt"
)

// Code is what the program's parent is told of its end.
type Code int

// The codes. All has them with their meaning.
const (
	Done        Code = 0
	Failed      Code = 1
	Usage       Code = 2
	Unreachable Code = 3
	NotLetIn    Code = 4
	NotFound    Code = 5
	Refused     Code = 6
	Declined    Code = 7
	Interrupted Code = 130
	Terminated  Code = 143
)

// Meaning is a code in words.
type Meaning struct {
	Code  Code
	Words string
}

// All are the codes there are, in their order: for the manual and the documents.
func All() []Meaning {
	return []Meaning{
		{Done, "It is done. What only shows something until it is stopped has done so."},
		{Failed, "It failed for a reason that none of the others is; a flow did not complete."},
		{Usage, "The command line, or something that it names, is wrong. Nothing was done."},
		{Unreachable, "The gateway cannot be reached, is none, or did not reply in time."},
		{NotLetIn, "The gateway lets nobody in with this token or certificate, or does not allow it this."},
		{NotFound, "There is no such flow, peer, route or context, or nothing that the filter selects."},
		{Refused, "It cannot be done now: the flow has ended already, the configuration is wrong."},
		{Declined, "It asked first, and the reply was not yes. Nothing was done."},
		{Interrupted, "SIGINT (Ctrl-C) came before it was done."},
		{Terminated, "SIGTERM came before it was done."},
	}
}

// Error is an error that has a code of its own.
type Error struct {
	Code Code
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// ExitCode is the code.
func (e *Error) ExitCode() int { return int(e.Code) }

// Unwrap returns what it is about.
func (e *Error) Unwrap() error { return e.Err }

// With gives an error a code; nil stays nil.
func With(code Code, err error) error {
	if err == nil {
		return nil
	}
	return &Error{code, err}
}

// Errorf is With of fmt.Errorf.
func Errorf(code Code, format string, arguments ...any) error {
	return With(code, fmt.Errorf(format, arguments...))
}

// Of is the code for an error with which a command ends: Done for nil, what its method
// ExitCode returns, Failed for one that has none.
func Of(err error) Code {
	if err == nil {
		return Done
	}
	var coder interface{ ExitCode() int }
	if errors.As(err, &coder) {
		return Code(coder.ExitCode())
	}
	return Failed
}
