#!/usr/bin/env python3
"""An independent, naive program for a year of a block's money.

It reads the facts of the year as one JSON document (who lived where from when to when, what meters
showed, what prices were, what was paid, what turned out to be wrong) and prints what each household
was charged in all and where it stands. It knows no code of the gateway: plain loops over days and
months, exact fractions, one rounding per printed line, half away from zero.

    naive.py FACTS.json
"""

import json
import sys
from calendar import monthrange
from datetime import date, datetime, timedelta
from fractions import Fraction as F


def fen(yuan):
    """Yuan to fen, half away from zero."""
    scaled = abs(yuan) * 100
    whole = int(scaled + F(1, 2))
    return whole if yuan >= 0 else -whole


def day(text):
    return date.fromisoformat(text)


def months(first, last):
    """The months [from, to) of a year."""
    at = first
    while at < last:
        after = date(at.year + (at.month == 12), at.month % 12 + 1, 1)
        yield at, after
        at = after


def price_on(revisions, when):
    """The revision that holds on a day; a change that waits for the next period starts with it."""
    return [r for r in revisions if day(r["from"]) <= when][-1]


def tiered(before, usage, tiers):
    """Each tier's part of [before, before + usage), with its price."""
    parts, low = [], F(0)
    for tier in tiers:
        high = F(tier["up_to"]) if "up_to" in tier else None
        end = before + usage if high is None else min(before + usage, high)
        start = max(before, low)
        if end > start:
            parts.append((end - start, tier))
        if high is None:
            break
        low = high
    return parts


facts = json.load(open(sys.argv[1]))
start, end = day(facts["from"]), day(facts["to"])
corrected = {(c["meter"], c["at"]): F(c["value"]) for c in facts["misreads"]}


def totals(meter):
    """What had passed at each moment at which the meter was read, wrong readings put right."""
    passed, last, known = F(0), None, {}
    for event in facts["meters"][meter]:
        if event["what"] == "exchanged":
            passed += F(event["final"]) - last
            last = F(event["initial"])
            continue
        value = corrected.get((meter, event["at"]), F(event["value"]))
        if last is not None:
            passed += value - last
        last = value
        known[event["at"]] = passed
    return known


passed = {meter: totals(meter) for meter in facts["meters"]}


def used(meter, first, last):
    return passed[meter][last.isoformat()] - passed[meter][first.isoformat()]


billed = {}


def bill(account, item, amount):
    billed.setdefault(account, {}).setdefault(item, 0)
    billed[account][item] += amount


prices = facts["prices"]
for household in facts["households"]:
    account = household["account"]
    came = day(household["from"])
    left = day(household["to"]) if household["to"] else end
    counter = {}
    for first, last in months(start, end):
        a, b = max(first, came), min(last, left)
        if a >= b:
            continue
        # Electricity: tiers by the month, each line rounded.
        usage = used(household["electricity"], a, b)
        tiers = price_on(prices["electricity"], first)["tiers"]
        bill(account, "electricity", sum(fen(q * F(t["price"])) for q, t in tiered(F(0), usage, tiers)))
        # Water: tiers by the year, water and sewage on one reading, each line rounded.
        usage = used(household["water"], a, b)
        before = counter.get(a.year, F(0))
        counter[a.year] = before + usage
        tiers = price_on(prices["water"], first)["tiers"]
        amount = 0
        for quantity, tier in tiered(before, usage, tiers):
            amount += fen(quantity * F(tier["water"]))
            amount += fen(quantity * F(tier["sewage"]) * F(prices["sewage_factor"]))
        bill(account, "water", amount)
        # The property fee: by the days of the month, a change inside it divides it.
        edges = [a] + [day(r["from"]) for r in prices["property"] if a < day(r["from"]) < b] + [b]
        for x, y in zip(edges, edges[1:]):
            rate = F(price_on(prices["property"], x)["price"])
            share = F((y - x).days, monthrange(x.year, x.month)[1])
            bill(account, "property", fen(F(household["area"]) * rate * share))
        # Garbage: a begun month is a whole one.
        bill(account, "garbage", fen(F(price_on(prices["garbage"], first)["price"])))

# The lift: who lives there at the month's end shares its cost by area, to the fen.
for first, last in months(start, end):
    cost = fen(used("m-lift", first, last) * F(prices["lift"]))
    lives = lambda h: day(h["from"]) < last and (h["to"] is None or day(h["to"]) > last)
    members = [(h["account"], F(h["area"])) for h in facts["households"] if lives(h)]
    whole = sum(area for _, area in members)
    shares = {account: int(cost * area / whole) for account, area in members}
    rests = {account: cost * area / whole - shares[account] for account, area in members}
    for account, _ in sorted(rests.items(), key=lambda r: (-r[1], r[0]))[: cost - sum(shares.values())]:
        shares[account] += 1
    for account, share in shares.items():
        bill(account, "lift-share", share)

paid, clearing = {}, {"cash": 0, "wechat": 0}
for payment in facts["payments"]:
    paid[payment["account"]] = paid.get(payment["account"], 0) + payment["fen"]
    clearing["cash"] += payment["fen"]

# Deposits and refunds, movement by movement: whether each was right, and what is left.
WAITS = timedelta(days=30)
DECIDE = timedelta(days=facts["refund_decide_days"])
deposits, refunds, given, reserved = {}, {}, {}, {}
counts = {"deposits": 0, "asked": 0, "paid": 0, "expired": 0, "never_approved": 0}


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def civil(text):
    return (moment(text) + timedelta(hours=8)).date()


def free(deposit):
    return deposit["left"] - deposit["reserved"]


def reserve(refund, fen):
    if refund["source"]["of"] == "deposit":
        deposits[refund["source"]["deposit"]]["reserved"] += fen
    else:
        reserved[refund["to"]] = reserved.get(refund["to"], 0) + fen


for move in facts["moved"]:
    what, at = move["what"], moment(move["at"])
    if what == "paid" and move["toward"]["of"] == "deposit":
        terms = move["toward"]
        whole = move["amount_fen"]
        deposits[terms["deposit"]] = {
            "account": move["account"], "whole": whole, "left": whole, "reserved": 0, "parts": terms["release"]["parts"],
            "on": day(terms["release"]["on"]), "met": None, "asked": 0,
        }
        clearing["wechat"] += whole
        counts["deposits"] += 1
    elif what == "condition":
        deposit = deposits[move["deposit"]]
        assert deposit["on"] <= civil(move["at"]), "its day has come"
        deposit["met"] = civil(move["at"])
    elif what == "refund-asked":
        assert move["amount_fen"] > 0
        if move["source"]["of"] == "deposit":
            deposit = deposits[move["source"]["deposit"]]
            n = move["instalment"]
            part = deposit["parts"][n - 1]
            last = n == len(deposit["parts"])
            due = deposit["met"] + timedelta(days=part["after_days"])
            share = free(deposit) if last else min(free(deposit), deposit["whole"] * part["percent"] // 100)
            assert n == deposit["asked"] + 1 and due <= civil(move["at"]) and share == move["amount_fen"], move
            deposit["asked"] = n
        assert moment(move["decide_by"]) == at + DECIDE
        refunds[move["refund"]] = dict(move, until=None, ends=at + DECIDE)
        counts["asked"] += 1
    elif what == "refund-approved":
        refund = refunds[move["refund"]]
        alone = move["by"] == "gateway"
        assert not alone or refund["amount_fen"] <= facts["refund_alone_max_fen"]
        assert alone or move["by"] != refund["asked_by"], "by another person"
        assert refund["until"] is None and at < refund["ends"]
        refund["until"] = refund["ends"] = at + WAITS
        reserve(refund, refund["amount_fen"])
        if refund["source"]["of"] == "deposit":
            assert free(deposits[refund["source"]["deposit"]]) >= 0, "no more is promised than is there"
    elif what in ("refund-paid", "refund-voided"):
        refund = refunds.pop(move["refund"])
        fen = refund["amount_fen"]
        if refund["until"] is not None:
            reserve(refund, -fen)
        if what == "refund-voided":
            if move["actor"] == "gateway":
                assert refund["ends"] <= at and move["expired"], "nothing expires before its time"
                counts["expired"] += 1
                if refund["until"] is None:
                    counts["never_approved"] += 1
                    # What a contract gives back is due as before.
                    if refund["source"]["of"] == "deposit" and "instalment" in refund:
                        deposit = deposits[refund["source"]["deposit"]]
                        deposit["asked"] -= deposit["asked"] == refund["instalment"]
            continue
        # In the very moment of its end it is still paid out, where that is told first.
        assert refund["until"] >= at, "nothing is paid out after its time"
        clearing[refund["channel"]] -= fen
        counts["paid"] += 1
        if refund["source"]["of"] == "deposit":
            deposits[refund["source"]["deposit"]]["left"] -= fen
        else:
            given[refund["to"]] = given.get(refund["to"], 0) + fen

# Late fees: a small ledger of its own goes through bills and movements, says for each bill what was unpaid as each
# day began, and counts what those days cost, from the beginning, by what is known at the end.
DAYS = [start + timedelta(days=n) for n in range((end - start).days + 400)]
books, bills_of, fee_sums = {}, {}, {}


def account_books(account):
    return books.setdefault(account, {"owed": {}, "open": {}, "prepaid": 0, "reserved": 0})


def pay_from_prepaid(book, first):
    for item in book["owed"]:
        if book["owed"][item] < 0:
            book["prepaid"] -= book["owed"][item]
            book["owed"][item] = 0
    free = book["prepaid"] - book["reserved"]
    for item in first + sorted(set(book["owed"]) - set(first)):
        part = max(0, min(book["owed"].get(item, 0), free))
        book["owed"][item] = book["owed"].get(item, 0) - part
        book["prepaid"] -= part
        free -= part


def lower(bill, first, by):
    for when in bill["days"]:
        if when >= first:
            bill["days"][when] = max(0, bill["days"][when] - by)


def settle(book, when):
    """The oldest bill of an item is paid first; a payment counts from the next day on."""
    for item, bills in book["open"].items():
        over = sum(b["left"] for b in bills) - max(0, book["owed"].get(item, 0))
        for one in bills:
            part = max(0, min(one["left"], over))
            one["left"] -= part
            over -= part
            if one["known"] != one["left"] and one["rule"]:
                lower(one, max(when, one["due"]) + timedelta(days=1), one["known"] - one["left"])
            one["known"] = one["left"]


def take_bill(doc):
    book, item, total = account_books(doc["account"]), doc["item"], doc["total_fen"]
    corrects = doc.get("corrects")
    chain = bills_of.setdefault(corrects["bill"] if corrects else doc["bill"], [])
    when = civil(doc["issued_at"])
    book["owed"][item] = book["owed"].get(item, 0) + total
    if "late_fee" in doc:
        fee_sums[doc["late_fee"]["of"]] = fee_sums.get(doc["late_fee"]["of"], 0) + total
    if total > 0:
        due = when + timedelta(days=facts["due_days"])
        assert doc["due"] == due.isoformat()
        one = {
            "bill": doc["bill"], "left": total, "known": total, "whole": total, "due": due,
            "above": corrects["was_fen"] if corrects else 0, "rule": facts["late"].get(item),
            "days": {d: total for d in DAYS if d > due} if item in facts["late"] else {},
        }
        chain.append(one)
        book["open"].setdefault(item, []).append(one)
    elif total < 0 and corrects:
        for one in chain:
            right = min(one["whole"], max(0, corrects["now_fen"] - one["above"]))
            less, one["whole"] = one["whole"] - right, right
            lower(one, date.min, less)
            one["left"] = max(0, one["left"] - less)
            one["known"] = one["left"]
    pay_from_prepaid(book, [item])
    settle(book, when)


def take_movement(doc):
    book, when = account_books(doc["account"]), civil(doc["at"])
    if doc["what"] == "paid" and doc["toward"]["of"] != "deposit":
        book["prepaid"] += doc["amount_fen"]
        pay_from_prepaid(book, [])
        settle(book, min(when, day(doc["paid_on"])) if "paid_on" in doc else when)
        return
    if doc["what"] == "refund-asked":
        asked[doc["refund"]] = dict(doc, approved=False)
        return
    refund = asked.get(doc.get("refund"))
    if refund is None or refund["source"]["of"] == "deposit":
        return
    book = account_books(refund["to"])
    if doc["what"] == "refund-approved":
        refund["approved"] = True
        book["reserved"] += refund["amount_fen"]
    elif refund["approved"]:
        book["reserved"] -= refund["amount_fen"]
        if doc["what"] == "refund-paid":
            book["prepaid"] -= refund["amount_fen"]
        else:
            pay_from_prepaid(book, [])
            settle(book, when)


def late_fee(one):
    rule = one["rule"]
    graced = one["due"] + timedelta(days=1 + rule["grace_days"])
    first = graced if rule["days_from"] == "grace" else one["due"] + timedelta(days=1)
    if end <= graced or one["bill"] in facts["waived"]:
        return 0
    unpaid = sum(one["days"][max(d, graced)] for d in DAYS if first <= d < end)
    exact = F(unpaid) * F(rule["percent_per_day"]) / 100
    most = int(F(one["whole"]) * F(rule["cap_percent"]) / 100)
    return min(most, int(exact + F(1, 2)) if rule["rounding"] == "half_up" else int(exact))


asked, late_fees, owner = {}, {"bills": 0, "fen": 0, "capped": 0}, {}
for doc in facts["documents"]:
    if doc["kind"] == "bill":
        owner[doc["bill"]] = doc["account"]
        take_bill(doc)
    else:
        take_movement(doc)
for chain in bills_of.values():
    for one in chain:
        if not one["rule"]:
            continue
        for when in one["days"]:
            if when > day(facts["paid_in_fact"].get(one["bill"], "9999-12-31")):
                one["days"][when] = 0
        fee = late_fee(one)
        assert fee == fee_sums.get(one["bill"], 0), (one["bill"], fee, fee_sums.get(one["bill"]))
        late_fees["bills"] += fee > 0
        late_fees["fen"] += fee
        late_fees["capped"] += 0 < fee == int(F(one["whole"]) * F(one["rule"]["cap_percent"]) / 100)
        if owner[one["bill"]] in billed and one["bill"] in fee_sums:
            bill(owner[one["bill"]], "late-fee", fee)

now = datetime.fromisoformat(facts["to"] + "T13:00:02+08:00")
assert all(r["ends"] > now for r in refunds.values()), "what is late has expired"
for deposit in deposits.values():
    if deposit["on"] <= now.date():
        due = [p for p in deposit["parts"] if deposit["met"] + timedelta(days=p["after_days"]) <= now.date()]
        assert deposit["asked"] == len(due) or free(deposit) == 0, deposit

balances = {}
for account, items in billed.items():
    # What is promised to go back is neither free nor does it pay a bill.
    owed = sum(items.values()) - paid.get(account, 0) + given.get(account, 0) + reserved.get(account, 0)
    balances[account] = {"items": items, "owed_fen": max(owed, 0), "prepaid_fen": max(-owed, 0)}
print(json.dumps({
    "accounts": balances, "billed_fen": sum(sum(i.values()) for i in billed.values()), "clearing": clearing,
    "deposits": {name: free(d) for name, d in deposits.items() if d["left"]}, "refunds": sorted(refunds), "counts": counts,
    "late_fees": late_fees,
}))
