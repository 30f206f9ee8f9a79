package swarm_test

// What is unpacked is read with these: where it is of another type, they are empty, and the test says what was there.

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

func asText(v any) string {
	text, _ := v.(string)
	return text
}

func asInt(v any) int64 {
	n, _ := v.(int64)
	return n
}
