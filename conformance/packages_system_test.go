package main_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zioflow/gateway/internal/version"
)

// sumsHold: every file is in SHA256SUMS, and has that sum.
func sumsHold(t *testing.T, dist string) {
	out := inFolder(t, dist, "sha256sum --check --strict SHA256SUMS")
	files, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out, ": OK\n"); got != len(files)-1 {
		t.Errorf("%d sums for %d files", got, len(files)-1)
	}
}

// unpackArchive runs the program of this system's archive, which is static, and looks at
// what it says that it is made of.
func unpackArchive(t *testing.T, dist string) {
	folder, name := t.TempDir(), "zio-gateway-"+version.Number+"-linux-amd64"
	inFolder(t, folder, "tar -xzf "+filepath.Join(dist, name+".tar.gz"))
	if out := inFolder(t, folder, name+"/gateway --version"); !strings.HasPrefix(out, "gateway "+version.Number) {
		t.Errorf("it is %s", out)
	}
	if out := inFolder(t, folder, "ldd "+name+"/gateway 2>&1 || true"); !strings.Contains(out, "not a dynamic executable") {
		t.Errorf("it needs %s", out)
	}
	text, err := os.ReadFile(filepath.Join(folder, name, "sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct {
		BOMFormat  string
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(text, &sbom); err != nil || sbom.BOMFormat != "CycloneDX" {
		t.Fatalf("%v: %s", err, sbom.BOMFormat)
	}
	found := false
	for _, c := range sbom.Components {
		found = found || c.Name == "google.golang.org/grpc" && strings.HasPrefix(c.PURL, "pkg:golang/google.golang.org/grpc@v")
	}
	if !found || len(sbom.Components) < 20 {
		t.Errorf("%d components, gRPC among them: %v", len(sbom.Components), found)
	}
}

// renderChart has helm render the chart as packed, with its alerts.
func renderChart(t *testing.T, dist string) {
	out := inFolder(t, dist, "helm template lab zio-gateway-"+version.Number+".tgz --kube-version 1.31.0 --set security.insecure=true,prometheusRule.enabled=true")
	for _, want := range []string{`image: "zio-gateway:` + version.Number + `"`, "- alert: ZioGatewayDown"} {
		if !strings.Contains(out, want) {
			t.Errorf("the chart makes no %q:\n%s", want, out)
		}
	}
}

// apart runs a script as root in namespaces of its own, and wants its last line to be that
// all is well.
func apart(t *testing.T, script string, arguments ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, in namespaces of its own")
	}
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "--pid", "--net", "--fork", "--kill-child", path}, arguments...)...)
	command.Env = cleanEnvironment()
	if out, err := command.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "all is well\n") {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// installPackage installs a package in a copy of this machine that only it sees.
func installPackage(t *testing.T, dist, script, name string) {
	apart(t, script, t.TempDir(), filepath.Join(dist, name))
}

// runImage has skopeo read the image in both of its forms, and runs what is in it.
func runImage(t *testing.T, dist string) {
	archive := filepath.Join(dist, "zio-gateway-"+version.Number+"-image-amd64.tar")
	for _, form := range []string{"oci-archive", "docker-archive"} {
		out := inFolder(t, t.TempDir(), "skopeo inspect --config "+form+":"+archive)
		var config struct {
			Config struct {
				User            string
				Env, Entrypoint []string
			}
		}
		if err := json.Unmarshal([]byte(out), &config); err != nil || config.Config.User != "65532:65532" || len(config.Config.Entrypoint) != 1 {
			t.Fatalf("%s: %v\n%s", form, err, out)
		}
		if form == "oci-archive" {
			continue
		}
		program, err := builtProgram()
		if err != nil {
			t.Fatal(err)
		}
		apart(t, "packages/image.sh", append([]string{imageRoot(t, archive), program}, config.Config.Env...)...)
	}
}

// imageRoot unpacks the layers of an image, in their order.
func imageRoot(t *testing.T, archive string) string {
	t.Helper()
	folder, root := t.TempDir(), t.TempDir()
	inFolder(t, folder, "tar -xf "+archive)
	var manifests []struct{ Layers []string }
	text, err := os.ReadFile(filepath.Join(folder, "manifest.json"))
	if err != nil || json.Unmarshal(text, &manifests) != nil || len(manifests) != 1 || len(manifests[0].Layers) != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	for _, layer := range manifests[0].Layers {
		unpackLayer(t, filepath.Join(folder, layer), root)
	}
	if err := os.Chmod(root, 0o755); err != nil { //nolint:gosec // another user runs in it
		t.Fatal(err)
	}
	return root
}

func unpackLayer(t *testing.T, layer, root string) {
	t.Helper()
	file, err := os.Open(layer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for packed := tar.NewReader(unzipped); ; {
		header, err := packed.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil || header.Uid != 0 || !filepath.IsLocal(header.Name) {
			t.Fatalf("%+v, %v", header, err)
		}
		path := filepath.Join(root, header.Name)
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755) //nolint:gosec // as in the image
		} else {
			var text []byte
			if text, err = io.ReadAll(packed); err == nil {
				err = os.WriteFile(path, text, header.FileInfo().Mode())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
