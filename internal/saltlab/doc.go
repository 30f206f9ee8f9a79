// Package saltlab starts a real Salt for tests, the demo and benchmarks: one master, any number of minions and salt-api
// on free loopback ports, without root, with every file below one directory. Nothing of a lab outlives it: every process
// is ended and the directory removed by Stop, and also when the program that started the lab is killed.
//
// A package of acceptance tests shares one lab:
//
//	func TestMain(m *testing.M) {
//		os.Exit(saltlab.Main(m, saltlab.Config{States: "testdata/states"}))
//	}
//
//	func TestPing(t *testing.T) {
//		lab := saltlab.Get(t) // the first call starts it
//		...
//	}
//
// The programs are those of the Salt that tools/salt-venv.sh installs, run as they are; the lab only writes their
// configuration, and changes of it nothing that a user of Salt would notice, but for shorter waits at start-up.
package saltlab
