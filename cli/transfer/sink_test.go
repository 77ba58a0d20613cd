package transfer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// pieceOf is a message of a file that has one.
func pieceOf(name, data string) zioflow.Dat {
	size := int64(len(data))
	return zioflow.Dat{Label: fileLabel{Name: name, Size: &size}.label(), Payload: [][]byte{[]byte(data)}}
}

func mustFolder(t *testing.T, dir string, force bool) *folder {
	t.Helper()
	d, err := newFolder(dir, force, false)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFolderStaysInside: no name leads out of the folder, and a link in it does not either.
func TestFolderStaysInside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	dir := filepath.Join(outside, "dir")
	if err := errors.Join(os.Mkdir(dir, 0o777), os.Symlink(outside, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"", ".", "..", "../x", "a/../../x", "a/../x", "/x", outside + "/x", "a//x", "./x", "x/", "x\x00", "x\ny", "\x1b[2J",
		"link/x", "link/a/x", strings.Repeat("a/", 3000) + "x", strings.Repeat("x", 300),
	} {
		d := mustFolder(t, dir, true)
		err := errors.Join(d.take(pieceOf(name, "data")), d.close())
		if err == nil {
			t.Errorf("%.50q was written", name)
			continue
		}
		if text := err.Error(); len(text) > 3*maxWords || strings.ContainsAny(text, "\x1b\n\x00") {
			t.Errorf("%.50q: the error is %q", name, text)
		}
	}
	tensor := zioflow.Dat{Label: fileLabel{Name: "../x"}.label()}
	if err := tensor.SetTensors(nil, zioflow.Scalar(1.5)); err != nil {
		t.Fatal(err)
	}
	d := mustFolder(t, dir, true)
	if err := errors.Join(d.take(tensor), d.close()); err == nil {
		t.Error("../x.npy was written")
	}
	if err := os.Remove(filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, outside, nil)
}

// TestFolderKeeps: what is there is not replaced, unless that is asked for, and what does
// not come whole not written.
func TestFolderKeeps(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string][]byte{"there": []byte("old"), "folder/x": []byte("x")})
	size := int64(10)
	first := zioflow.Dat{Label: fileLabel{Name: "f", Size: &size}.label(), Payload: [][]byte{[]byte("12345")}}
	for want, dats := range map[string][]zioflow.Dat{
		"there is there already; --force replaces it":          {pieceOf("there", "new")},
		"folder is a folder":                                   {pieceOf("folder", "new")},
		"there/x: not a directory":                             {pieceOf("there/x", "new")},
		"f is not written: 5 of its 10 bytes have come":        {first},
		"f has more than its 10 bytes":                         {first, {Label: fileLabel{Name: "f", Size: &size, Offset: 5}.label(), Payload: [][]byte{[]byte("678901")}}},
		"message 2: a piece of f from byte 4 on does not":      {first, {Label: fileLabel{Name: "f", Size: &size, Offset: 4}.label(), Payload: [][]byte{[]byte("6")}}},
		"message 2: a piece of g from byte 5 on does not":      {first, {Label: fileLabel{Name: "g", Size: &size, Offset: 5}.label(), Payload: [][]byte{[]byte("6")}}},
		"f is not written: 5 of its 10 bytes have come ":       {first, pieceOf("g", "g")},
		"f is not written: 5 of its 10 bytes have come  ":      {first, {Payload: [][]byte{[]byte("no file")}}},
		"message 1: a piece of f from byte 5 on does not foll": {{Label: fileLabel{Name: "f", Size: &size, Offset: 5}.label()}},
	} {
		d := mustFolder(t, dir, false)
		var err error
		for _, dat := range dats {
			err = errors.Join(err, d.take(dat))
		}
		if err = errors.Join(err, d.close()); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("the error is %v, want %q", err, want)
		}
		for _, made := range []string{"g", "000002.dat"} {
			_ = os.Remove(filepath.Join(dir, made))
		}
		wantFiles(t, dir, map[string][]byte{"there": []byte("old"), "folder/x": []byte("x")})
	}
	d := mustFolder(t, dir, true)
	if err := errors.Join(d.take(pieceOf("there", "new")), d.close()); err != nil {
		t.Error(err)
	}
	wantFiles(t, dir, map[string][]byte{"there": []byte("new"), "folder/x": []byte("x")})
}

// TestFolderNumbers: messages without names.
func TestFolderNumbers(t *testing.T) {
	t.Parallel()
	var two zioflow.Dat
	if err := two.SetTensors(nil, zioflow.Scalar(uint8(7)), zioflow.Scalar(int16(1))); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := mustFolder(t, dir, false)
	for _, dat := range []zioflow.Dat{
		{Payload: [][]byte{[]byte("one")}}, {}, {Label: []byte(`{"flow":"DAT","file":7}`), Payload: [][]byte{[]byte("a"), nil}}, two,
	} {
		if err := d.take(dat); err != nil {
			t.Error(err)
		}
	}
	if err := d.close(); err != nil || d.files() != 5 {
		t.Errorf("%v, %d files", err, d.files())
	}
	var names []string
	for name := range contents(t, dir) {
		names = append(names, name)
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "000001.dat 000003-0.dat 000003-1.dat 000004-0.npy 000004-1.npy" {
		t.Errorf("written were %s", got)
	}
}

// TestStreamSink: arrays follow each other, and what is no tensor is refused.
func TestStreamSink(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newStreamSink(&out, true)
	var dat zioflow.Dat
	if err := dat.SetTensors(nil, zioflow.Scalar(uint8(7)), zioflow.Scalar(int16(1))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.take(dat), s.close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := readNpy(&out); err != nil {
			t.Error(err)
		}
	}
	if _, err := readNpy(&out); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last one there is %v", err)
	}
	if err := s.take(zioflow.Dat{Payload: [][]byte{{1}}}); err == nil || err.Error() != "message 2: it has no tensors" {
		t.Errorf("what is no tensor: %v", err)
	}
}
