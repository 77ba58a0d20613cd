package settings

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/zioflow/gateway/internal/nearest"
	"github.com/zioflow/gateway/internal/text"
)

var (
	// fromVariable is what kong has behind an error of a value that the environment has.
	fromVariable = regexp.MustCompile(`(?s)^(.*) \(from envar (\w+)=".*"\)$`)
	// outOfChoice is what kong says of a value that is none of those that there are.
	outOfChoice = regexp.MustCompile(`(?s)^(?:([a-z][a-z -]*): )?(\S+(?: \.\.\.)?) must be one of ((?:"[^"]*",?)+) but got (".*")$`)
	// argument is what kong calls an argument of the command line.
	argument = regexp.MustCompile(`^\[?<([^>]*)>(?: \.\.\.)?\]?(: )?`)
)

// InWords has what kong says of a value on the command line or in the environment in the words
// that are used for one in a file; any other error as it is.
func InWords(err error) error {
	if err == nil {
		return nil
	}
	words, variable := err.Error(), ""
	if m := fromVariable.FindStringSubmatch(words); m != nil {
		words, variable = m[1], m[2]+": "
	}
	if m := outOfChoice.FindStringSubmatch(words); m != nil {
		choice := strings.Split(m[3][1:len(m[3])-1], `","`)
		words = m[2] + ": " + notOne(m[4][1:len(m[4])-1], choice).Error()
	}
	words = argument.ReplaceAllString(words, "$1$2")
	if words = variable + words; words == err.Error() {
		return err
	}
	return errors.New(words)
}

// notOne tells that a value is none of those that there are, of which an empty one stands for
// nothing that could be written.
func notOne(given string, choice []string) error {
	choice = slices.DeleteFunc(slices.Clone(choice), func(word string) bool { return word == "" })
	return fmt.Errorf("is %q, want %s%s", text.Cut(given, longest), either(choice), nearest.DidYouMean(given, choice))
}
