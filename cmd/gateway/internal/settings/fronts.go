package settings

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/gateway/config"
)

// openFronts are the fronts that --insecure names.
type openFronts struct{ config.Exposure }

// Decode implements kong.MapperValue. It may be called again to add more. Without a
// value, and as true, --insecure stands for all addresses, as it has always done; the
// AdminService has to be named.
func (o *openFronts) Decode(ctx *kong.DecodeContext) error {
	if !ctx.Scan.Peek().IsValue() {
		return o.Add("true")
	}
	token := ctx.Scan.Pop()
	for name := range strings.SplitSeq(fmt.Sprint(token.Value), ",") {
		if err := o.Add(strings.TrimSpace(name)); err != nil {
			return err
		}
	}
	return nil
}
