"""What was measured, and the two files that keep it."""

import json
import os
import re


class Results:
    """Numbers in order. Each stands in a section; a budget makes it good or bad."""

    def __init__(self):
        self.rows = []
        self.notes = []
        self.commands = []

    def add(self, section, what, value, unit, ratios=None, budget=None, ok=None, note=None, **more):
        """ratios: {what it is compared with: factor}; budget: the words of the budget."""
        row = {"section": section, "what": what, "value": value, "unit": unit, **more}
        for key, given in (("ratios", ratios), ("budget", budget), ("ok", ok), ("note", note)):
            if given is not None:
                row[key] = given
        self.rows.append(row)
        extra = "".join(f"  {k} x {number(v)}" for k, v in (ratios or {}).items())
        verdict = "" if ok is None else "  within budget" if ok else "  NOT within budget"
        print(f"  {what}: {number(value)} {unit}{extra}{verdict}{'  (' + note + ')' if note else ''}", flush=True)
        return row

    def failed(self, section, what, why):
        why = re.sub(r"(?<![\w:/])/(?!v2/)[\w.+-]+(/[\w.+-]+)+", lambda m: os.path.basename(m[0]), why)  # no places of this machine
        self.rows.append({"section": section, "what": what, "failed": why})
        print(f"  {what}: FAILED: {why}", flush=True)

    def skipped(self, section, what, why):
        self.rows.append({"section": section, "what": what, "skipped": why})
        print(f"  {what}: skipped: {why}", flush=True)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def command(self, text):
        if text not in self.commands:
            self.commands.append(text)

    def value(self, section, what):
        """What an earlier scenario of this run has found, or None."""
        for r in self.rows:
            if r["section"] == section and r["what"] == what:
                return r.get("value")
        return None

    def ratio(self, value, *places):
        """{name: value / that one} for the places (section, what, name) that this run has measured."""
        out = {}
        for section, what, name in places:
            base = self.value(section, what)
            if base:
                out[name] = value / base
        return out

    def bad(self):
        return [r for r in self.rows if "failed" in r]


def number(v):
    if v is None:
        return "-"
    if isinstance(v, str):
        return v
    if isinstance(v, int) or abs(v) >= 1000:
        return f"{v:,.0f}".replace(",", " ")
    if abs(v) >= 100:
        return f"{v:.0f}"
    if abs(v) >= 10:
        return f"{v:.1f}"
    return f"{v:.2f}"


def outcome(r):
    if "failed" in r:
        return f"failed: {r['failed']}"
    if "skipped" in r:
        return f"skipped: {r['skipped']}"
    return f"{number(r['value'])} {r['unit']}"


def table(header, rows):
    out = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return out + ["| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in row) + " |" for row in rows]


def budget_rows(rows):
    for r in rows:
        if "budget" in r:
            measured = outcome(r)
            if r.get("ratios") and "failed" not in r:
                measured += "; " + ", ".join(f"{number(v)} x {k}" for k, v in r["ratios"].items())
            yield r["what"], r["budget"], measured, {True: "yes", False: "**no**", None: "-"}[r.get("ok")]


def percentiles(r):
    both = [f"{name} {number(r[name + '_ms'])} ms" for name in ("p50", "p99") if r.get(name + "_ms") is not None]
    return "; " + ", ".join(both) if both else ""


def markdown(head, results):
    m = head["machine"]
    out = [f"# Measurements of {head['date']}, {head['mode']}", ""]
    out += table(["", ""], [
        ["machine", f"{m['cpu']}, {m['cores']} cores, {m['memory_mb']} MiB{', virtual' if m['virtual'] else ''}"],
        ["system", f"{m['system']}, Linux {m['kernel']}"],
        ["Norn", f"commit {head['commit']}{' with changes' if head['changed'] else ''}"],
        *([k, v] for k, v in head["versions"].items() if v),
        ["PostgreSQL settings", head["settings"]],
        ["load by others", head["load"]],
        ["took", f"{head['took_s']:.0f} s"],
    ])
    if head.get("warning"):
        out += ["", f"**{head['warning']}**"]
    rows = list(budget_rows(results.rows))
    if rows:
        out += ["", "## Budgets", ""] + table(["what", "budget", "measured", "kept"], rows)
    for section in dict.fromkeys(r["section"] for r in results.rows):
        out += ["", f"## {section}", ""]
        body = []
        for r in (r for r in results.rows if r["section"] == section):
            ratios = ", ".join(f"{number(v)} x {k}" for k, v in r.get("ratios", {}).items())
            busy = "" if r.get("others") is None else number(r["others"])
            used = "" if r.get("cores_busy") is None else number(r["cores_busy"])
            body.append([r["what"], outcome(r) + percentiles(r), ratios, used, busy, r.get("note", "")])
        out += table(["what", "measured", "ratios in this run", "cores busy", "and before", "note"], body)
    if results.notes:
        out += ["", "## Notes", ""] + [f"- {n}" for n in results.notes]
    out += ["", "## Commands", "", "```"] + [head["command"]] + results.commands + ["```", ""]
    return "\n".join(out)


def write(directory, name, head, results):
    os.makedirs(directory, exist_ok=True)
    base = os.path.join(directory, name)
    with open(base + ".json", "w", encoding="utf-8") as f:
        json.dump({**head, "results": results.rows, "notes": results.notes, "commands": results.commands}, f, indent=1)
        f.write("\n")
    with open(base + ".md", "w", encoding="utf-8") as f:
        f.write(markdown(head, results))
    return base + ".md"
