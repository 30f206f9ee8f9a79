// Package swarm runs hundreds of simulated minions in one process against a real Salt master: each signs in with a key of its
// own, verifies what the master publishes, decides by itself whether it is meant, and returns what a script says. It is test
// code: whoever reads its key cache can be each of these minions, it executes nothing, and it believes the first master it
// meets, so it only talks to a master on loopback and never belongs on a real fleet.
//
// A test starts a lab without minions, and a swarm on it:
//
//	lab, err := saltlab.Start(ctx, saltlab.Config{MinionIDs: []string{}, NoAPI: true})
//	...
//	s, err := swarm.Start(ctx, swarm.Options{
//		Master: fmt.Sprintf("127.0.0.1:%d", lab.RequestPort()),
//		Config: swarm.Config{
//			Minions: 500,
//			Seed:    1,
//			Groups: []swarm.Group{
//				{Grains: map[string]any{"role": "web"}, Share: swarm.Percent(80)},
//				{Share: swarm.Count(3), Behaviour: swarm.Behaviour{Functions: []string{"state.*"}, Silent: true}},
//			},
//		},
//	})
//	...
//	defer s.Stop()
//	err = s.Accepted(ctx)
//
// The wire is Salt's of 3006 and 3008 over ZeroMQ: salt/crypt.py, salt/channel/client.py and salt/transport/zeromq.py have
// the minion's side of it, https://rfc.zeromq.org/spec/23/ (ZMTP 3.0) the frames. What stands in for the machine below a minion
// is in [Config]: grains, states that drift and are repaired, commands with an answer, processes that die or do not. The
// states of a swarm are a script: only real minions prove that Gaea reads Salt's states aright.
//
// The same configuration and seed make the same choices: who is in a share, how long something takes within a span, which
// jobs a chance hits. What differs between two plays is what the master does and when.
package swarm
