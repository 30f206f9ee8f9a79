// Package killtest kills jobd with SIGKILL at random moments in the life of runs on a real Salt, starts it again, and proves
// that each run goes on to its right end: on the minions, whose functions write down that they ran; in the master's job
// cache, whose returns the archive must hold; and by jobd's own word. What is played follows from a seed.
package killtest
