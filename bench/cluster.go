package main

import (
	"fmt"
	"os"
	"time"

	"github.com/zioflow/gateway/bench/clustersim"
)

// clusterCommand simulates clusters.
type clusterCommand struct {
	Nodes     []int   `default:"10,100,1000" help:"How many nodes: one simulation each."`
	Listeners int     `default:"100" help:"How many listeners each node has."`
	Holders   int     `default:"20" help:"How many nodes hold the listeners of all others; the rest hold the numbers of their tables, as a thousand nodes that hold everything would need 25 GB."`
	Churn     int     `default:"1" help:"How many listeners of each hundred change in a second, other than in their load."`
	Loss      float64 `default:"0.001" help:"The part of what is published that does not arrive."`
	Protocol  uint32  `help:"Which version of the protocol the nodes speak; the present one by default."`
	Seed      uint64  `default:"1" help:"Chance's."`
}

// Run implements the command.
func (c *clusterCommand) Run() error {
	fmt.Println("| nodes | listeners | heard a second, nothing changes | while listeners change | while all are busy | all know all after start | heard until then | a death known: median, last | after a split | heard until then | false deaths | a node's state |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, nodes := range c.Nodes {
		listeners := nodes * c.Listeners
		f, err := clustersim.Run(clustersim.Options{
			Nodes: nodes, Listeners: listeners, Holders: c.Holders, Churn: c.Churn * listeners / 100, Loss: c.Loss, Protocol: c.Protocol, Seed: c.Seed,
		})
		if err != nil {
			return fmt.Errorf("%d nodes: %w", nodes, err)
		}
		fmt.Printf("| %d | %d | %s, %.0f messages | %s | %s | %s | %s | %s, %s | %s | %s | %d | %s |\n", nodes, listeners,
			amountText(f.Idle), f.IdleMessages, amountText(f.Changing), amountText(f.Busy), secondsText(f.Start), amountText(float64(f.StartIn)),
			secondsText(f.DeathMedian), secondsText(f.Death), secondsText(f.Heal), amountText(float64(f.HealIn)), f.False, amountText(float64(f.Memory)))
		fmt.Fprintf(os.Stderr, "%d nodes: %d events, %v each\n", nodes, f.Steps, f.Step)
	}
	return nil
}

func secondsText(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func amountText(n float64) string {
	unit := 0
	for ; n >= 1000 && unit < 3; unit++ {
		n /= 1000
	}
	return fmt.Sprintf("%.3g %s", n, []string{"B", "kB", "MB", "GB"}[unit])
}
