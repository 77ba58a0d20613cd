package memory

import (
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mib = 1 << 20

	// Lines of mountinfo as Linux writes them.
	mountV2     = "31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountV1     = "35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory\n"
	mountV1CPU  = "34 31 0:31 / /sys/fs/cgroup/cpu rw,nosuid shared:11 - cgroup cgroup rw,cpu\n"
	mountHybrid = "36 31 0:33 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n"
	mountOther  = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\nnonsense\n 1 2 3 - x\n"
	noLimitV1   = "9223372036854771712\n"
)

func TestGroupLimit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		groups, mounts string
		files          map[string]string // by path
		want           int64
	}{
		"no proc at all": {},
		"no groups":      {mounts: mountOther},
		"v2": {"0::/app.service\n", mountOther + mountV2, map[string]string{
			"/sys/fs/cgroup/app.service/memory.max": "536870912\n"}, 512 * mib},
		"v2, max": {"0::/app.service\n", mountV2, map[string]string{
			"/sys/fs/cgroup/app.service/memory.max": "max\n", "/sys/fs/cgroup/app.service/memory.high": "max\n"}, 0},
		"v2, high below max": {"0::/app.service\n", mountV2, map[string]string{
			"/sys/fs/cgroup/app.service/memory.max": "536870912\n", "/sys/fs/cgroup/app.service/memory.high": "268435456\n"}, 256 * mib},
		"v2, the limit is of a group around": {"0::/a.slice/b.slice/app.service\n", mountV2, map[string]string{
			"/sys/fs/cgroup/a.slice/memory.max":                     "104857600\n",
			"/sys/fs/cgroup/a.slice/b.slice/memory.max":             "max\n",
			"/sys/fs/cgroup/a.slice/b.slice/app.service/memory.max": "209715200\n"}, 100 * mib},
		"v2, not that of a group beside": {"0::/a\n", mountV2, map[string]string{
			"/sys/fs/cgroup/a/memory.max": "209715200\n", "/sys/fs/cgroup/b/memory.max": "1048576\n",
			"/sys/fs/cgroup/a/b/memory.max": "1048576\n", "/sys/fs/memory.max": "1\n"}, 200 * mib},
		"v2, a container with a namespace": {"0::/\n", mountV2, map[string]string{
			"/sys/fs/cgroup/memory.max": "536870912\n"}, 512 * mib},
		"v2, moved out of its namespace": {"0::/../other\n", mountV2, map[string]string{
			"/sys/fs/cgroup/memory.max": "536870912\n", "/sys/fs/other/memory.max": "1\n"}, 512 * mib},
		"v1": {"9:name=systemd:/x\n5:cpu,memory:/app\n1:cpu:/elsewhere\n", mountV1CPU + mountV1, map[string]string{
			"/sys/fs/cgroup/memory/memory.limit_in_bytes":     noLimitV1,
			"/sys/fs/cgroup/memory/app/memory.limit_in_bytes": "536870912\n",
			"/sys/fs/cgroup/cpu/app/memory.limit_in_bytes":    "1\n"}, 512 * mib},
		"v1, none": {"5:memory:/app\n", mountV1, map[string]string{
			"/sys/fs/cgroup/memory/memory.limit_in_bytes":     noLimitV1,
			"/sys/fs/cgroup/memory/app/memory.limit_in_bytes": noLimitV1}, 0},
		"v1, a container without a namespace": {"5:memory:/docker/0123\n", strings.Replace(mountV1, " / ", " /docker/0123 ", 1), map[string]string{
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n"}, 512 * mib},
		"v1, a group in such a container": {"5:memory:/docker/0123/app\n", strings.Replace(mountV1, " / ", " /docker/0123 ", 1), map[string]string{
			"/sys/fs/cgroup/memory/memory.limit_in_bytes":     "536870912\n",
			"/sys/fs/cgroup/memory/app/memory.limit_in_bytes": "268435456\n"}, 256 * mib},
		"v1, a name that only begins like the mount's": {"5:memory:/docker/01234\n", strings.Replace(mountV1, " / ", " /docker/0123 ", 1), map[string]string{
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n", "/sys/fs/cgroup/memory4/memory.limit_in_bytes": "1\n"}, 512 * mib},
		"both, the controller in v1": {"4:memory:/app\n0::/\n", mountV1 + mountHybrid, map[string]string{
			"/sys/fs/cgroup/memory/app/memory.limit_in_bytes": "536870912\n"}, 512 * mib},
		"both, the controller in v2": {"4:cpu:/app\n0::/app\n", mountV1CPU + mountHybrid, map[string]string{
			"/sys/fs/cgroup/unified/app/memory.max": "536870912\n"}, 512 * mib},
		"a blank in the name": {"0::/my app\n", strings.Replace(mountV2, "/sys/fs/cgroup", `/sys/fs/my\040cgroup`, 1), map[string]string{
			"/sys/fs/my cgroup/my app/memory.max": "536870912\n"}, 512 * mib},
		"nonsense": {"0::/app\nnonsense\n\n", mountV2, map[string]string{"/sys/fs/cgroup/app/memory.max": "-5\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fstest.MapFS{
				"proc/self/cgroup":    {Data: []byte(tt.groups)},
				"proc/self/mountinfo": {Data: []byte(tt.mounts)},
			}
			for name, text := range tt.files {
				root[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := groupLimit(root); got != tt.want {
				t.Errorf("the limit is %d, want %d", got, tt.want)
			}
		})
	}
	if got := groupLimit(fstest.MapFS{}); got != 0 {
		t.Errorf("without /proc the limit is %d, want none", got)
	}
}

func TestSmaller(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ a, b, want int64 }{{0, 0, 0}, {0, 3, 3}, {3, 0, 3}, {3, 4, 3}, {4, 3, 3}} {
		if got := smaller(tt.a, tt.b); got != tt.want {
			t.Errorf("smaller(%d, %d) is %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// This machine's memory is known, on every system that the gateway is built for.
func TestLimit(t *testing.T) {
	t.Parallel()
	if limit := Limit(); limit < 16*mib || limit > 1<<50 {
		t.Errorf("this machine's memory is %d bytes", limit)
	}
}
