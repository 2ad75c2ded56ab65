# One line of text as a C string literal with its newline.
function quote(s,    i, c, r) {
	r = ""
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		if (c == "\\" || c == "\"" || c == "?")
			r = r "\\" c
		else if (c == "\t")
			r = r "\\t"
		else
			r = r c
	}
	return "\"" r "\\n\""
}
