package main

import "strings"

// column is one column of a table.
type column struct {
	title string
	right bool // figures stand at the right
}

// table lays cells out in columns, two spaces apart. The last column is not
// padded, so that only it is cut in a narrow terminal unless there is no help.
func table(columns []column, rows [][]line, head style) []line {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = textWidth(c.title)
		for _, r := range rows {
			widths[i] = max(widths[i], r[i].width())
		}
	}
	titles := make([]line, len(columns))
	for i, c := range columns {
		titles[i] = styled(head, c.title)
	}
	out := make([]line, 0, len(rows)+1)
	out = append(out, tableRow(columns, widths, titles))
	for _, r := range rows {
		out = append(out, tableRow(columns, widths, r))
	}
	return out
}

func tableRow(columns []column, widths []int, cells []line) line {
	var out line
	for i, c := range cells {
		pad := strings.Repeat(" ", widths[i]-c.width())
		last := i == len(cells)-1
		switch {
		case columns[i].right:
			out = append(out, piece{plain, pad})
			out = append(out, c...)
		case last:
			out = append(out, c...)
		default:
			out = append(out, c...)
			out = append(out, piece{plain, pad})
		}
		if !last {
			out = append(out, piece{plain, "  "})
		}
	}
	for len(out) > 0 && strings.TrimSpace(out[len(out)-1].text) == "" {
		out = out[:len(out)-1]
	}
	return out
}
