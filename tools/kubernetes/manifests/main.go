// Command manifests reads Kubernetes manifests and refuses those that a cluster would: with
// fields that their kind does not have, or of another type, or of a kind that is not known.
// It prints each one's kind and name.
//
//	helm template … | manifests
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	known := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(known), monitoring.AddToScheme(known)); err != nil {
		return err
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, known, known, json.SerializerOptions{Yaml: true, Strict: true})
	documents := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for n := 1; ; n++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		object, kind, err := strict.Decode(text, nil, nil)
		if err != nil {
			return fmt.Errorf("document %d: %w\n%s", n, err, text)
		}
		named, err := meta.Accessor(object)
		if err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
		if _, err := fmt.Fprintln(out, kind.Kind, named.GetName()); err != nil {
			return err
		}
	}
}
