package wire_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/cluster/wire"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// freeze is for the commit before the one that raises members.Protocol.
var freeze = flag.Bool("freeze", false, "write what the present version of the protocol says to testdata, for the next to be held against")

// previous is the version before the present one.
const previous = uint32(members.Protocol - 1)

// TestFreeze writes the present version's contract, and one of each of its messages.
func TestFreeze(t *testing.T) {
	if !*freeze {
		t.Skip("for the commit before the one that raises members.Protocol")
	}
	set := &descriptorpb.FileDescriptorSet{}
	collect(set, gatewayv1.File_zio_gateway_v1_cluster_proto)
	var lines bytes.Buffer
	for _, d := range spoken(gatewayv1.File_zio_gateway_v1_cluster_proto) {
		for _, m := range samples(d) {
			b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&lines, "%s %s\n", d.FullName(), hex.EncodeToString(b))
		}
	}
	contract, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{contractFile(members.Protocol): contract, messagesFile(members.Protocol): lines.Bytes()} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func contractFile(version uint32) string { return testdata(version, "contract.binpb") }
func messagesFile(version uint32) string { return testdata(version, "messages.txt") }

func testdata(version uint32, name string) string {
	return filepath.Join("testdata", fmt.Sprintf("protocol-%d-%s", version, name))
}

// collect adds a file and what it imports, without options, which nobody needs to read messages.
func collect(set *descriptorpb.FileDescriptorSet, f protoreflect.FileDescriptor) {
	own := protodesc.ToFileDescriptorProto(f)
	if slices.ContainsFunc(set.GetFile(), func(d *descriptorpb.FileDescriptorProto) bool { return d.GetName() == own.GetName() }) {
		return
	}
	own.Dependency = slices.DeleteFunc(own.GetDependency(), func(name string) bool { return strings.HasPrefix(name, "buf/") })
	bare(own.ProtoReflect())
	for imports, i := f.Imports(), 0; i < imports.Len(); i++ {
		if !strings.HasPrefix(imports.Get(i).Path(), "buf/") {
			collect(set, imports.Get(i).FileDescriptor)
		}
	}
	set.File = append(set.File, own)
}

// bare clears all options but those of maps' entries.
func bare(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Name() == "options" && m.Descriptor().Name() != "DescriptorProto":
			m.Clear(f)
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				bare(v.List().Get(i).Message())
			}
		}
		return true
	})
}

// spoken are the messages that nodes send each other: those of ClusterService, and what is
// published.
func spoken(f protoreflect.FileDescriptor) (all []protoreflect.MessageDescriptor) {
	methods := f.Services().ByName("ClusterService").Methods()
	for i := range methods.Len() {
		all = append(all, methods.Get(i).Input(), methods.Get(i).Output())
	}
	return append(all, f.Messages().ByName("ClusterBeat"), f.Messages().ByName("ClusterChange"))
}

// samples are a message with all fields set, and one more for each further choice that a
// oneof of it has.
func samples(d protoreflect.MessageDescriptor) (all []proto.Message) {
	choices := 1
	for oneofs, i := d.Oneofs(), 0; i < oneofs.Len(); i++ {
		choices = max(choices, oneofs.Get(i).Fields().Len())
	}
	for choice := range choices {
		m := dynamicpb.NewMessage(d)
		fill(m, choice, 0)
		all = append(all, m)
	}
	return all
}

// fill sets the fields of a message to what follows from their names and numbers.
func fill(m protoreflect.Message, choice, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if one := f.ContainingOneof(); one != nil && one.Fields().Get(min(choice, one.Fields().Len()-1)) != f || f.IsMap() || depth > 6 {
			continue
		}
		one := func() protoreflect.Value {
			switch f.Kind() {
			case protoreflect.MessageKind:
				v := dynamicpb.NewMessage(f.Message())
				fill(v, choice, depth+1)
				return protoreflect.ValueOfMessage(v)
			case protoreflect.StringKind:
				return protoreflect.ValueOfString(string(f.Name()))
			case protoreflect.BytesKind:
				return protoreflect.ValueOfBytes([]byte(f.Name()))
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(true)
			case protoreflect.EnumKind:
				return protoreflect.ValueOfEnum(1)
			case protoreflect.Uint64Kind:
				return protoreflect.ValueOfUint64(uint64(f.Number()))
			case protoreflect.Int64Kind:
				return protoreflect.ValueOfInt64(int64(f.Number()))
			case protoreflect.Uint32Kind:
				return protoreflect.ValueOfUint32(uint32(f.Number()))
			case protoreflect.Int32Kind:
				return protoreflect.ValueOfInt32(int32(f.Number()))
			case protoreflect.DoubleKind:
				return protoreflect.ValueOfFloat64(float64(f.Number()))
			default:
				panic(fmt.Sprintf("no sample of %v", f.Kind()))
			}
		}
		if f.IsList() {
			list := m.Mutable(f).List()
			list.Append(one())
			list.Append(one())
			continue
		}
		m.Set(f, one())
	}
}

// unknown finds a field of a message, or of one in it, that its reader does not know.
func unknown(m protoreflect.Message) (where string) {
	if len(m.GetUnknown()) > 0 {
		return string(m.Descriptor().FullName())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := 0; i < v.List().Len() && where == ""; i++ {
				where = unknown(v.List().Get(i).Message())
			}
		default:
			where = unknown(v.Message())
		}
		return where == ""
	})
	return where
}

// contract is that of the previous version, as it was.
func contract(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	b, err := os.ReadFile(contractFile(previous))
	if err != nil {
		t.Fatalf("%v: run this test with -freeze at the commit before the one that raised members.Protocol", err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(b, set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	f, err := files.FindFileByPath("zio/gateway/v1/cluster.proto")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestPreviousIsUnderstood: every message of the version before, as its nodes have encoded it,
// is read whole, and means what it meant; and all that they call is there.
func TestPreviousIsUnderstood(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(messagesFile(previous))
	if err != nil {
		t.Fatalf("%v: run this test with -freeze at the commit before the one that raised members.Protocol", err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		name, digits, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m := kind.New().Interface()
		if err := proto.Unmarshal(b, m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if where := unknown(m.ProtoReflect()); where != "" {
			t.Errorf("%s: what is in it of %s is not understood", name, where)
		}
		if again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(m); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: said again it is\n%x, it was\n%x, %v", name, again, b, err)
		}
		switch m := m.(type) {
		case *gatewayv1.ClusterBeat:
			want := members.Beat{
				ID: "node_id", Name: "node", Protocol: 3, Started: time.Unix(1, 2).UTC(), Number: 5, Draining: true, Leaving: true,
				Address: "peer_address", Version: "version", Flows: 10,
			}
			if got := wire.ToBeat(m); got != want {
				t.Errorf("the beat is %+v, want %+v", got, want)
			}
		case *gatewayv1.ClusterChange:
			l := members.Listener{
				ID: 1, Name: "name", Match: "match", MaxFlows: 4, Flows: 5, Transport: "transport", Address: "address", Identity: "identity", Holder: "name",
			}
			want := members.Change{ID: "node_id", Number: 2, Entries: members.Entries{Set: []members.Listener{l, l}, Removed: []uint64{4, 4}}}
			if got := wire.ToChange(m); !reflect.DeepEqual(got, want) {
				t.Errorf("the change is %+v, want %+v", got, want)
			}
		}
	}
	if n == 0 {
		t.Error("there are no messages")
	}
	present := gatewayv1.File_zio_gateway_v1_cluster_proto.Services().ByName("ClusterService").Methods()
	for calls, i := contract(t).Services().ByName("ClusterService").Methods(), 0; i < calls.Len(); i++ {
		c := calls.Get(i)
		if now := present.ByName(c.Name()); now == nil || now.Input().FullName() != c.Input().FullName() || now.Output().FullName() != c.Output().FullName() ||
			now.IsStreamingClient() != c.IsStreamingClient() || now.IsStreamingServer() != c.IsStreamingServer() {
			t.Errorf("%s is now %v", c.FullName(), now)
		}
	}
}

// TestPreviousUnderstands: what a node says while one of the version before is there, that one
// reads whole, by the contract that it knows.
func TestPreviousUnderstands(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m := members.New(members.Beat{ID: "self", Name: "self", Version: "2", Started: now, Address: "10.1.2.3:7578"}, members.DefaultOptions())
	var said []proto.Message
	step := func(e members.Event) {
		for _, effect := range m.Step(now, e) {
			switch e := effect.(type) {
			case members.Say:
				said = append(said, wire.FromBeat(e.Beat))
			case members.Tell:
				said = append(said, wire.FromChange(e.Change))
			}
		}
	}
	l := members.Listener{ID: 1, Name: "raw", Match: "true", MaxFlows: 2, Transport: "grpc", Address: "10.1.2.4:1", Identity: "i", Holder: "h"}
	busy := func(flows int) members.Own {
		l.Flows = flows
		return members.Own{Entries: members.Entries{Set: []members.Listener{l}}}
	}
	step(busy(0))
	step(members.Heard{Beat: members.Beat{ID: "older", Name: "older", Protocol: previous}})
	step(members.Tick{})
	for _, flows := range []int{1, 2, 1, 0, 1} { // crossing, and not
		step(busy(flows))
	}
	step(members.Load{Draining: true, Flows: 1})
	step(members.Tick{})
	step(members.Own{Entries: members.Entries{Removed: []uint64{1}}})
	step(busy(2))
	for _, part := range wire.FromTable(m.Table()) {
		said = append(said, part)
	}
	step(members.Leave{})
	known := contract(t)
	kinds := map[protoreflect.Name]int{}
	for _, told := range said {
		name := told.ProtoReflect().Descriptor().Name()
		kinds[name]++
		b, err := proto.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		read := dynamicpb.NewMessage(known.Messages().ByName(name))
		if err := proto.Unmarshal(b, read); err != nil {
			t.Fatal(err)
		}
		if where := unknown(read); where != "" {
			t.Errorf("it does not know what is in %s of %v", where, told)
		}
		if again, err := proto.Marshal(read); err != nil || !same(t, told, again) {
			t.Errorf("it understands %v in the place of %v", read, told)
		}
	}
	for _, name := range []protoreflect.Name{"ClusterBeat", "ClusterChange", "ReadTableResponse"} {
		if kinds[name] == 0 {
			t.Errorf("no %s was said", name)
		}
	}
}

// TestPreviousSkipsRoutes: what tells of routes is to a node of the version before a change like any
// other, with what it knows, or a table without them.
func TestPreviousSkipsRoutes(t *testing.T) {
	t.Parallel()
	route, err := wire.NewRoute(7, &gatewayv1.Route{Name: "raw", Match: "true"})
	if err != nil {
		t.Fatal(err)
	}
	told := wire.FromChange(members.Change{ID: "self", Number: 3, Entries: members.Entries{
		Set: []members.Listener{{ID: 1, Name: "raw"}}, Removed: []uint64{2}, SetRoutes: []members.Route{route}, RemovedRoutes: []uint64{4},
	}})
	table := wire.FromTable(members.Table{ID: "self", Number: 3, Listeners: []members.Listener{{ID: 1, Name: "raw"}}, Routes: []members.Route{route}})[0]
	for _, m := range []struct{ said, known proto.Message }{
		{told, &gatewayv1.ClusterChange{NodeId: "self", Number: 3, Set: told.GetSet(), Removed: []uint64{2}}},
		{table, &gatewayv1.ReadTableResponse{NodeId: "self", Number: 3, Listeners: told.GetSet()}},
	} {
		b, err := proto.Marshal(m.said)
		if err != nil {
			t.Fatal(err)
		}
		read := dynamicpb.NewMessage(contract(t).Messages().ByName(m.said.ProtoReflect().Descriptor().Name()))
		if err := proto.Unmarshal(b, read); err != nil {
			t.Fatal(err)
		}
		read.SetUnknown(nil)
		if again, err := proto.Marshal(read); err != nil || !same(t, m.known, again) {
			t.Errorf("it understands %v in the place of %v", read, m.known)
		}
	}
	if got := wire.ToChange(told); !reflect.DeepEqual(got.SetRoutes, []members.Route{route}) || !reflect.DeepEqual(got.RemovedRoutes, []uint64{4}) {
		t.Errorf("this one understands %+v", got)
	}
}

// same tells whether what was encoded is the message.
func same(t *testing.T, m proto.Message, encoded []byte) bool {
	t.Helper()
	read := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(encoded, read); err != nil {
		t.Fatal(err)
	}
	return proto.Equal(m, read)
}
