package topology

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"hearth/internal/testkit"
)

// Island is a network of its own, with one link to this machine's that can be cut as a
// cable is: nothing tells either side. It takes root.
type Island struct {
	Here, There string // addresses of the two ends of the link

	tb    testkit.TB
	holds *testkit.Process // the network; it ends with it
	link  string           // the end that is here
	far   string           // the end that is there
}

// NewIsland makes an island. It ends with tb.
func NewIsland(tb testkit.TB) *Island {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Fatal("cutting a network takes root: run this as root")
	}
	unshare := testkit.Need(tb, "util-linux", []string{"unshare"})
	i := &Island{tb: tb, holds: testkit.Start(tb, testkit.Command{
		Name: "island", Argv: []string{unshare, "--net", "sleep", "infinity"}, Dir: testkit.TempDir(tb, "island"),
	})}
	i.holds.AwaitReady(func() bool {
		here, err := os.Readlink("/proc/self/ns/net")
		there, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", i.holds.Pid()))
		return err == nil && err2 == nil && here != there
	})
	// Two addresses that are this island's alone, as its number is.
	subnet := i.holds.Pid() % (1 << 14)
	i.Here, i.There = fmt.Sprintf("10.77.%d.%d", subnet>>6, subnet<<2&0xff|1), fmt.Sprintf("10.77.%d.%d", subnet>>6, subnet<<2&0xff|2)
	i.link = "hearth" + strconv.Itoa(subnet)
	i.far = "island" + strconv.Itoa(subnet)
	i.do("ip", "link", "add", i.link, "type", "veth", "peer", "name", i.far, "netns", strconv.Itoa(i.holds.Pid()))
	i.do("ip", "addr", "add", i.Here+"/30", "dev", i.link)
	i.do("ip", "link", "set", i.link, "up")
	i.do(i.Wrap("ip", "addr", "add", i.There+"/30", "dev", i.far)...)
	i.do(i.Wrap("ip", "link", "set", i.far, "up")...)
	i.do(i.Wrap("ip", "link", "set", "lo", "up")...)
	return i
}

// Wrap is a command line that runs a program on the island.
func (i *Island) Wrap(argv ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(i.holds.Pid()), "--net", "--"}, argv...)
}

// Cut loses all that is sent from now on, until Heal. A link that is taken down would
// tell those who send; one whose other end is believed to be another machine's does not.
func (i *Island) Cut() {
	i.do("ip", "neigh", "replace", i.There, "lladdr", nobody, "dev", i.link, "nud", "permanent")
	i.do(i.Wrap("ip", "neigh", "replace", i.Here, "lladdr", nobody, "dev", i.far, "nud", "permanent")...)
}

// nobody is the hardware address of no machine.
const nobody = "02:00:00:00:00:01"

// Heal ends a Cut.
func (i *Island) Heal() {
	i.do("ip", "neigh", "del", i.There, "dev", i.link)
	i.do(i.Wrap("ip", "neigh", "del", i.Here, "dev", i.far)...)
}

func (i *Island) do(argv ...string) {
	i.tb.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		i.tb.Fatalf("%q: %v\n%s", argv, err, out)
	}
}
