// Command chart draws what `bench panels` prints, as SVG:
//
//	bench panels RESULTS | chart OUT.svg
//
// It is a module of its own for the sake of what it depends on.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// panel is one diagram over categories.
type panel struct {
	Title, X, Y string
	Categories  []string
	// Bars draws bars with the range of their values, and a line at 1; otherwise
	// lines over a logarithmic axis.
	Bars   bool
	Series []series
}

// series has a value for each category, or null.
type series struct {
	Name              string
	Dashed            bool
	Color             int
	Median, Low, High []*float64
}

const (
	width       = 24 * vg.Centimeter
	panelHeight = 11 * vg.Centimeter
	barWidth    = 16 // points
)

func main() {
	plot.DefaultFont.Variant = "Sans"
	if err := run(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "chart: %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string, in io.Reader) error {
	if len(arguments) != 1 {
		return errors.New("usage: chart OUT.svg <PANELS")
	}
	var panels []panel
	if err := json.NewDecoder(in).Decode(&panels); err != nil {
		return fmt.Errorf("panels: %w", err)
	}
	canvas, err := drawAll(panels)
	if err != nil {
		return err
	}
	var svg bytes.Buffer
	if _, err = canvas.WriteTo(&svg); err != nil {
		return err
	}
	// Where the font is missing, one that is like it.
	family := []byte("font-family:Liberation Sans")
	text := bytes.ReplaceAll(svg.Bytes(), family, append(family, ",Arial,sans-serif"...))
	return os.WriteFile(arguments[0], text, 0o644)
}

// drawAll draws the panels one below the other.
func drawAll(panels []panel) (*vgsvg.Canvas, error) {
	if len(panels) == 0 {
		return nil, errors.New("there are no panels")
	}
	canvas := vgsvg.New(width, panelHeight*vg.Length(len(panels)))
	area := draw.New(canvas)
	area.SetColor(color.White)
	area.Fill(area.Path())
	plots := make([][]*plot.Plot, len(panels))
	for i, p := range panels {
		drawn, err := p.plot()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Title, err)
		}
		plots[i] = []*plot.Plot{drawn}
	}
	const gap = 12
	tiles := draw.Tiles{Rows: len(panels), Cols: 1, PadX: gap, PadY: 2 * gap, PadTop: gap, PadBottom: gap, PadLeft: gap, PadRight: gap}
	for i, row := range plot.Align(plots, tiles, area) {
		plots[i][0].Draw(row[0])
	}
	return canvas, nil
}

func (p panel) plot() (*plot.Plot, error) {
	drawn := plot.New()
	drawn.Title.Text, drawn.X.Label.Text, drawn.Y.Label.Text = p.Title, p.X, p.Y
	drawn.Title.Padding = vg.Points(8)
	drawn.Legend.Top, drawn.Legend.Left = true, true // the swatch first: viewers' fonts differ in width
	drawn.Legend.Padding = vg.Points(2)
	drawn.NominalX(p.Categories...)
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.Gray{220}
	drawn.Add(grid)
	add := p.addLine
	if p.Bars {
		add = p.addBars
	} else {
		drawn.Y.Scale = plot.LogScale{}
		drawn.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	}
	for i, s := range p.Series {
		if len(s.Median) != len(p.Categories) {
			return nil, fmt.Errorf("series %s has %d values for %d categories", s.Name, len(s.Median), len(p.Categories))
		}
		if err := add(drawn, i, s); err != nil {
			return nil, fmt.Errorf("series %s: %w", s.Name, err)
		}
	}
	if p.Bars {
		one := plotter.NewFunction(func(float64) float64 { return 1 })
		one.Dashes = plotutil.Dashes(1)
		drawn.Add(one)
		drawn.Y.Min = 0
		drawn.Y.Max *= 1.4 // room for the legend
	}
	return drawn, nil
}

// addBars draws the i-th of the panel's series.
func (p panel) addBars(drawn *plot.Plot, i int, s series) error {
	heights := make(plotter.Values, len(s.Median))
	var ranges errorBars
	offset := (float64(i) - float64(len(p.Series)-1)/2) * barWidth
	for j, median := range s.Median {
		if median == nil {
			continue
		}
		heights[j] = *median
		ranges.XYs = append(ranges.XYs, plotter.XY{X: float64(j), Y: *median})
		ranges.YErrors = append(ranges.YErrors, struct{ Low, High float64 }{*median - *s.Low[j], *s.High[j] - *median})
	}
	bars, err := plotter.NewBarChart(heights, barWidth)
	if err != nil {
		return err
	}
	bars.Color, bars.LineStyle.Width, bars.Offset = plotutil.Color(s.Color), 0, vg.Points(offset)
	drawn.Add(bars)
	drawn.Legend.Add(s.Name, bars)
	whiskers, err := plotter.NewYErrorBars(ranges)
	if err != nil {
		return err
	}
	drawn.Add(shifted{whiskers, vg.Points(offset)})
	return nil
}

type errorBars struct {
	plotter.XYs
	plotter.YErrors
}

// shifted draws error bars where the bars of a group are.
type shifted struct {
	*plotter.YErrorBars
	by vg.Length
}

// Plot implements plot.Plotter.
func (s shifted) Plot(c draw.Canvas, p *plot.Plot) {
	c.Min.X += s.by
	c.Max.X += s.by
	s.YErrorBars.Plot(c, p)
}

// addLine draws a series as points on a line.
func (p panel) addLine(drawn *plot.Plot, i int, s series) error {
	var points plotter.XYs
	for j, median := range s.Median {
		if median != nil && *median > 0 && !math.IsInf(*median, 0) {
			points = append(points, plotter.XY{X: float64(j), Y: *median})
		}
	}
	line, marks, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, line.Width = plotutil.Color(s.Color), vg.Points(1.5)
	if s.Dashed {
		line.Dashes = plotutil.Dashes(1)
	}
	marks.Color, marks.Shape = line.Color, plotutil.Shape(i)
	drawn.Add(line, marks)
	drawn.Legend.Add(s.Name, line, marks)
	return nil
}
