package drift

import (
	"fmt"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Label is how people see a state: "file.managed /etc/motd".
func Label(s *gaea.StateResult) string {
	return text(s.Module + "." + s.Function + " " + s.ID)
}

// Labels gives each of the states of one return its own label: [Label], and where several states share it (one id with
// several names) the name behind it in parentheses.
func Labels(states []gaea.StateResult) []string {
	labels := make([]string, len(states))
	count := map[string]int{}
	for i := range states {
		labels[i] = Label(&states[i])
		count[labels[i]]++
	}
	taken := map[string]bool{}
	for i := range states {
		if count[labels[i]] > 1 {
			labels[i] += text(" (" + states[i].Name + ")")
		}
		label := labels[i]
		for n := 2; taken[label]; n++ { // ids and names are free text, so even these can meet
			label = fmt.Sprintf("%s #%d", labels[i], n)
		}
		labels[i], taken[label] = label, true
	}
	return labels
}
