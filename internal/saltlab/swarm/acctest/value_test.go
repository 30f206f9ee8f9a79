package acctest_test

// What is answered is read with these: where it is of another type, they are empty, and the test says what was there.

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func asText(v any) string {
	text, _ := v.(string)
	return text
}
