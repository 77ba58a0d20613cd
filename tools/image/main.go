// Command image writes an OCI image layout with the gateway and nothing else but the
// certificates by which it knows others:
//
//	image -program FILE -arch ARCH -certificates FILE -name NAME:TAG -created SECONDS FOLDER
//
// Packed by tar, every container engine loads the folder: beside OCI's index it has
// Docker's manifest.json, which names the same blobs. The same input writes the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// keys is where the image looks for what `gateway keygen` makes.
const keys = "/etc/zio-gateway/"

// environment has the gateway serve all interfaces, but only to whom it knows: without
// the files it refuses to start.
var environment = []string{
	"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
	"ZIO_GATEWAY_GRPC=0.0.0.0:7575",
	"ZIO_GATEWAY_ZMQ_SERVER=tcp://0.0.0.0:5555",
	"ZIO_GATEWAY_ZMQ_ROUTER=tcp://0.0.0.0:5556",
	"ZIO_GATEWAY_NODE=none",
	"ZIO_GATEWAY_IDENTITIES=" + keys + "identities.yaml",
	"ZIO_GATEWAY_TLS_CERT=" + keys + "server.pem",
	"ZIO_GATEWAY_TLS_KEY=" + keys + "server.key",
	"ZIO_GATEWAY_TLS_CLIENT_CA=" + keys + "ca.pem",
	"ZIO_GATEWAY_TLS_CLIENT_AUTH=optional",
	"ZIO_GATEWAY_ZMQ_CURVE_KEY=" + keys + "server.curve",
}

// file is one of the image's.
type file struct {
	name, from string
	mode       int64
}

func main() {
	program := flag.String("program", "", "the gateway, for Linux")
	arch := flag.String("arch", "amd64", "for which architecture, in Go's words")
	certificates := flag.String("certificates", "", "authorities' certificates, in PEM")
	name := flag.String("name", "", "name and tag")
	created := flag.Int64("created", 0, "when, in seconds since 1970")
	flag.Parse()
	if err := write(flag.Arg(0), *name, *arch, time.Unix(*created, 0).UTC(), []file{
		{"usr/local/bin/gateway", *program, 0o755},
		{"etc/ssl/certs/ca-certificates.crt", *certificates, 0o644},
	}); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func write(folder, name, arch string, created time.Time, files []file) error {
	image, err := build(arch, created, files)
	if err != nil {
		return err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendImage(image,
		layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": name}),
		layout.WithPlatform(v1.Platform{OS: "linux", Architecture: arch})); err != nil {
		return err
	}
	return writeManifest(filepath.Join(folder, "manifest.json"), name, image)
}

// build makes the image: two layers, as the certificates change less often.
func build(arch string, created time.Time, files []file) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: arch, Created: v1.Time{Time: created},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: "65532:65532", Entrypoint: []string{"/usr/local/bin/gateway"}, Cmd: []string{"serve"}, Env: environment,
			ExposedPorts: map[string]struct{}{"5555/tcp": {}, "5556/tcp": {}, "7575/tcp": {}, "7576/tcp": {}},
			StopSignal:   "SIGTERM",
			Labels:       map[string]string{"org.opencontainers.image.source": "https://github.com/zioflow/gateway"},
		},
	})
	if err != nil {
		return nil, err
	}
	for i := len(files) - 1; i >= 0; i-- {
		layer, err := layerOf(files[i], created)
		if err != nil {
			return nil, err
		}
		history := v1.History{Created: v1.Time{Time: created}, CreatedBy: files[i].name}
		if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: history, MediaType: types.OCILayer}); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// layerOf is a layer with one file and the folders to it, all root's.
func layerOf(f file, created time.Time) (v1.Layer, error) {
	text, err := os.ReadFile(f.from)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	to := tar.NewWriter(&packed)
	for i, c := range f.name {
		if c != '/' {
			continue
		}
		if err := to.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: f.name[:i+1], Mode: 0o755, ModTime: created}); err != nil {
			return nil, err
		}
	}
	if err := to.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(text)), ModTime: created}); err != nil {
		return nil, err
	}
	if _, err := to.Write(text); err != nil {
		return nil, err
	}
	if err := to.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}

// writeManifest writes what Docker reads in the place of OCI's index.
func writeManifest(path, name string, image v1.Image) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	layers := make([]string, len(manifest.Layers))
	for i, layer := range manifest.Layers {
		layers[i] = blob(layer.Digest)
	}
	text, err := json.Marshal([]map[string]any{{"Config": blob(manifest.Config.Digest), "RepoTags": []string{name}, "Layers": layers}})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644) //nolint:gosec // for everybody
}
