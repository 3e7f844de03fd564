# Sums the first column by the second, in the order of the keys.
{ sums[$2] += $1; lines[$2] = lines[$2] " " FNR }
END {
    PROCINFO["sorted_in"] = "@ind_str_asc"
    for (key in sums) printf "%-6s %5d %s\n", key, sums[key], lines[key]
    print strftime("%F", 0, 1), length(PROCINFO["version"]) > 0
}
