#!/usr/bin/env python3
"""The central model: what one would get if all columns stood in one place.

    reference.py GUEST.csv HOST.csv [--train IDS] [--test IDS] [--l2 ALPHA] [--json]

Joins both tables on the id column, standardises every feature over the joined rows (mean 0, standard
deviation 1, as feature_scale does before the split), and fits a logistic regression with intercept by
Newton's method until it is exact: the minimum of mean log loss + ALPHA/2 * |w|^2, the intercept not
penalised. Prints the AUC on the training and on the test rows. IDS is a file with one id a line (what
follows a comma is ignored, and so is a line that is not an id of the join, such as a header); without it
every joined row is a training row. Needs nothing but Python's standard library.
"""

import argparse
import csv
import json
import math
import sys


def read_table(path):
    """Column names without the id, and {id: [texts]}."""
    with open(path, newline="", encoding="utf-8") as f:
        rows = csv.reader(f)
        header = next(rows)
        if header[0] != "id":
            raise SystemExit(f"{path}: the first column must be id, not {header[0]}")
        table = {}
        for row in rows:
            if row[0] in table:
                raise SystemExit(f"{path}: line {rows.line_num}: id {row[0]} stands there twice")
            table[row[0]] = row[1:]
    return header[1:], table


def join(guest_path, host_path):
    """Ids, labels, features of the rows that both have; in the order of the ids."""
    guest_names, guest = read_table(guest_path)
    host_names, host = read_table(host_path)
    at = guest_names.index("y")
    names = guest_names[:at] + guest_names[at + 1:] + host_names
    ids = sorted(guest.keys() & host.keys())
    labels = [int(guest[i][at]) for i in ids]
    rows = [[float(v) for v in guest[i][:at] + guest[i][at + 1:] + host[i]] for i in ids]
    return ids, labels, names, rows


def standardise(rows):
    n = len(rows)
    columns = []
    for column in zip(*rows):
        mean = math.fsum(column) / n
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in column) / n)
        columns.append([(v - mean) / deviation if deviation > 0 else 0.0 for v in column])
    return [list(row) for row in zip(*columns)]


def solve(matrix, right):
    """Gauss with partial pivoting; both arguments are used up."""
    n = len(right)
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(matrix[r][i]))
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        right[i], right[pivot] = right[pivot], right[i]
        for r in range(i + 1, n):
            factor = matrix[r][i] / matrix[i][i]
            if factor != 0.0:
                for c in range(i, n):
                    matrix[r][c] -= factor * matrix[i][c]
                right[r] -= factor * right[i]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (right[i] - sum(matrix[i][c] * x[c] for c in range(i + 1, n))) / matrix[i][i]
    return x


def sigmoid(z):
    if z >= 0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


def log_loss(w, rows, labels, alpha):
    total = 0.0
    for row, y in zip(rows, labels):
        z = sum(a * b for a, b in zip(w, row))
        margin = z if y == 1 else -z
        total += max(-margin, 0.0) + math.log1p(math.exp(-abs(margin)))
    return total / len(rows) + alpha / 2 * sum(v * v for v in w[:-1])


def fit(rows, labels, alpha):
    """Weights, the intercept last. rows end in a 1."""
    n, d = len(rows), len(rows[0])
    w = [0.0] * d
    for _ in range(200):
        gradient = [alpha * v for v in w[:-1]] + [0.0]
        hessian = [[alpha if i == j and i < d - 1 else 0.0 for j in range(d)] for i in range(d)]
        for row, y in zip(rows, labels):
            p = sigmoid(sum(a * b for a, b in zip(w, row)))
            q = max(p * (1 - p), 1e-12) / n
            for i in range(d):
                gradient[i] += (p - y) * row[i] / n
                scaled = q * row[i]
                for j in range(i + 1):
                    hessian[i][j] += scaled * row[j]
        for i in range(d):
            for j in range(i):
                hessian[j][i] = hessian[i][j]
        if max(abs(g) for g in gradient) < 1e-10:
            break
        step = solve(hessian, list(gradient))
        size, before = 1.0, log_loss(w, rows, labels, alpha)
        while size > 1e-9:
            candidate = [a - size * b for a, b in zip(w, step)]
            if log_loss(candidate, rows, labels, alpha) <= before:
                break
            size /= 2
        w = [a - size * b for a, b in zip(w, step)]
    return w


def auc(scores, labels):
    """Probability that a positive row scores higher than a negative one; ties count half."""
    pairs = sorted(zip(scores, labels))
    positives = sum(labels)
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    rank_sum, i = 0.0, 0
    while i < len(pairs):
        j = i
        while j < len(pairs) and pairs[j][0] == pairs[i][0]:
            j += 1
        rank_sum += sum(y for _, y in pairs[i:j]) * (i + j + 1) / 2
        i = j
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def read_ids(path, known):
    with open(path, encoding="utf-8") as f:
        ids = {line.strip().split(",")[0] for line in f} & known
    if not ids:
        raise SystemExit(f"{path}: no id of the joined tables stands there")
    return ids


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("guest")
    parser.add_argument("host")
    parser.add_argument("--train", metavar="IDS", help="ids of the training rows")
    parser.add_argument("--test", metavar="IDS", help="ids of the test rows")
    parser.add_argument("--l2", type=float, default=0.01, metavar="ALPHA", help="penalty (0.01)")
    parser.add_argument("--json", action="store_true", help="also the weights, as JSON")
    args = parser.parse_args()

    ids, labels, names, rows = join(args.guest, args.host)
    rows = [row + [1.0] for row in standardise(rows)]
    known = set(ids)
    train_ids = read_ids(args.train, known) if args.train else known
    test_ids = read_ids(args.test, known) if args.test else set()
    train = [k for k, i in enumerate(ids) if i in train_ids]
    test = [k for k, i in enumerate(ids) if i in test_ids]

    w = fit([rows[k] for k in train], [labels[k] for k in train], args.l2)
    score = [sum(a * b for a, b in zip(w, row)) for row in rows]
    result = {"rows": len(ids), "train_rows": len(train), "test_rows": len(test)}
    result["train_auc"] = auc([score[k] for k in train], [labels[k] for k in train])
    if test:
        result["test_auc"] = auc([score[k] for k in test], [labels[k] for k in test])
    if args.json:
        result["weights"] = dict(zip(names, w))
        result["intercept"] = w[-1]
        json.dump(result, sys.stdout, indent=2)
        print()
    else:
        for key, value in result.items():
            print(f"{key:12} {value:.6f}" if isinstance(value, float) else f"{key:12} {value}")


if __name__ == "__main__":
    main()
