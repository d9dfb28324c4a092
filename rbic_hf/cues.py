"""What the opening words of a segment say about it: it concludes, opens a step, turns back, checks.

One table of phrases per kind, English and Chinese. All phrases of one kind act alike everywhere:
"so", "therefore" and "因此" can be exchanged without changing a graph. Several cues in a row
("Wait, so then") add up, and what comes after them is the segment's core.
"""

from __future__ import annotations

import re
from typing import NamedTuple

FOLLOWS = 1  # concludes from what was said: so, therefore, 因此
OPENS = 2  # begins a step: now, next, first, let, 首先
HEADS = 4  # says what is done next: Calculate ..., Step 3, ### Result
REMARKS = 8  # solvers to themselves: okay, let me see
BRANCHES = 16  # another way, or a doubt: wait, alternatively, 或者
RETRACTS = 32  # takes back what was just said: no, that's wrong, 不对
RESTARTS = 64  # takes back everything so far: let me start over, 重新来
VERIFIES = 128  # looks again at what is known: let me check, 验算
CASES = 256  # one of several cases: case 2, 情况一
MERGES = 512  # back from the cases: in both cases, 综上

_PHRASES: dict[int, str] = {
    FOLLOWS | OPENS: """
        so|therefore|thus|hence|consequently|accordingly|then|ergo|as a result|as a consequence
        |it follows that|it follows|for this reason|because of this|and so|and therefore|and thus
        |and then|from this|所以|因此|因而|故而|故|则|从而|于是|由此可得|由此|那么|这样得到|这样就
        |∴|⇒|=>|\\Rightarrow|\\implies|\\therefore""",
    FOLLOWS: """
        this means|this gives|this implies|this shows|which means|which gives|which implies
        |that means|since|because|we get|we obtain|we find|we conclude|now we have|now we get
        |substituting|plugging|simplifying|可得|可知|可见|得到|解得|整理得|化简得|移项得
        |这意味着|这说明|也就是说|得|即|因为|由于|代入""",
    OPENS: """
        now|next|first|firstly|second|secondly|third|thirdly|after that|afterwards|subsequently
        |finally|lastly|let's|let us|let|given|in turn|首先|其次|然后|接着|接下来|随后|最后|最终
        |设|令|已知|the answer|the final answer|answer|final answer|答案|最终答案|故选""",
    REMARKS: """
        okay|ok|alright|all right|well|yes|good|great|nice|perfect|let me|this is|that|so far
        |let's see|let's think|let's continue|let's proceed|let's move on|let's go on|now let's see
        |now let's think|now let's continue|now let's proceed|now let's move on|now let's go on
        |now, let's see|now, let's think|now, let's continue|now, let's move on|now, let's go on
        |again|嗯|好的|好，|好。|让我|我们来看|继续""",
    BRANCHES | REMARKS: "wait|hold on|hmm|hmmm|actually|but wait|等等|等一下|等一等|稍等",
    BRANCHES: """
        alternatively|however|on second thought|another way|another approach|another method
        |or maybe|maybe|instead|otherwise|或者|另一种|换一种|但是|不过|然而|可是|另外""",
    BRANCHES | RETRACTS: """
        no,|no that's|that's wrong|that is wrong|that's not right|that is not right
        |that's incorrect|that is incorrect|this is wrong|this is incorrect|scratch that
        |i made a mistake|there is a mistake|there's a mistake|不对|不，|错了|算错了
        |我算错了|这不对|这是错的|不正确""",
    BRANCHES | RESTARTS: """
        let me start over|let's start over|start over|starting over|let me redo|let's redo
        |let me start again|let's start again|重新来|重来|重新计算|重新算|从头""",
    BRANCHES | VERIFIES: """
        let me check|let me double-check|let me double check|let me verify|let me recheck
        |let me re-check|let me re-verify|let's check|let's double-check|let's double check
        |let's verify|let's recheck|double-check|double check|double-checking|checking
        |再检查|再验算一下|再验算|再检验|让我检查|让我验证|让我再检查|让我再验算
        |让我们验证|让我们检查|我们来验证|我们来检查|我来验证|我来检查""",
    VERIFIES: "check|to check|to verify|verify|verification|as a check|验算|检验|验证|检查|经检验",
    MERGES: """
        in both cases|in either case|in all cases|in every case|in any case|combining the cases
        |adding the cases|综上所述|综上|总之""",
    HEADS: "计算|求出|求解|求|确定|化简|列出|找出|联立",
    0: "故事|设备|设计|令人|即使|得分|好几|等等于|那么多",  # words that only look like one
}

# What solvers tell themselves: a clause that opens with one of these has no subject.
_DIRECTIVES = frozenset(
    "add analyze apply arrange break calculate cancel choose combine compare complete compute "
    "construct convert count create cross-multiply define derive determine distribute divide draw "
    "equate estimate evaluate examine exclude expand express extract factor factorize find "
    "formulate identify interpret isolate list make multiply perform plug prove rearrange recall "
    "recognize reduce replace rewrite round set simplify solve substitute subtract take translate "
    "understand use write".split()
)
DIRECTIVES = tuple(sorted(_DIRECTIVES))

# A bullet, a number, bold marks: dressing before the first word. Bounded, so it stays linear.
_LEAD = re.compile(
    r"[\s\-*#>•$]{0,8}(?:(?:\(?[0-9]{1,2}[.)]\s{1,4}|[0-9]{1,2}[、．]|（[0-9]{1,2}）)\s{0,4})?\*{0,3}"
)
_FIRST = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+){0,2}|\\[A-Za-z]{1,12}|=>|[\u4e00-\u9fff∴⇒]")
_GAP = re.compile(r"[\s,，:：…!]{0,8}")
_NUMBERED = re.compile(
    r"(?:(?P<case>case)|part|step)\s{1,3}\(?[0-9A-Za-z]{1,3}\)?(?![0-9A-Za-z])"
    r"|(?P<zh>情况|情形)\s?[（(]?[0-9一二三四五六七八九十①-⑨]{1,2}[）)]?"
    r"|第\s?[0-9一二三四五六七八九十]{1,3}\s?步|步骤\s?[0-9一二三四五六七八九十]{1,3}",
    re.I,
)
_HEADING_LINE = re.compile(r"\s{0,8}(?:#{1,6}\s|\*\*[^*\n]{1,200}\*\*:?\s*$)")
_NUMBERED_WORDS = frozenset({"case", "part", "step", "情", "第", "步"})
_MOST_CUES = 4
_LONGEST = 32  # characters of the longest phrase, and a little


_CONTENT = re.compile("[a-z]{3,30}|[\u4e00-\u9fff]{2}")
# Words that say nothing of what is reasoned about.
_EMPTY = frozenset(
    "the and but for are was were not you can may all any one two our its his her now yes got get "
    "how who why did has had out use see say way able "
    "that this these those them they there then thus with have need will should would could must "
    "from into what which when where next step steps part parts move moving continue going keep "
    "know find found calculate compute solve solving problem question answer answers result let "
    "think look looking check verify sure right careful make makes take also another again back "
    "each every some more most other first second third finally last same here well good great "
    "done like just only very much many remaining information given want wants using used "
    "继续 下去 接着 一步 下一 我们 现在 问题 计算 题目 可以 检查 这里 这个 这样 看看 答案".split()
)


class Opening(NamedTuple):
    """How a segment opens.

    Attributes:
        first: the flags of its first cue, which say what the segment is for.
        flags: those of all its cues.
        lead: where its label (a bullet, "2.", bold marks) ends.
        core: where its cues end.
    """

    first: int
    flags: int
    lead: int
    core: int


def _by_first_word() -> dict[str, list[tuple[str, int]]]:
    table: dict[str, list[tuple[str, int]]] = {}
    for flags, phrases in _PHRASES.items():
        for phrase in "".join(phrases.split("\n")).split("|"):
            words = " ".join(phrase.split())
            found = _FIRST.match(words)
            assert found is not None, words
            table.setdefault(found[0].lower(), []).append((words.lower(), flags))
    for entries in table.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    return table


_TABLE = _by_first_word()


def opening(segment: str) -> Opening:
    """Return how a segment opens."""
    found = _LEAD.match(segment)
    lead = at = found.end() if found else 0
    first = flags = 0
    for _ in range(_MOST_CUES):
        word = _FIRST.match(segment, at)
        if word is None:
            break
        kind, end = _cue(segment, at, word[0])
        if not kind:
            break
        first = first or kind
        flags |= kind
        if kind & HEADS and word[0].lower() not in _NUMBERED_WORDS:
            break
        gap = _GAP.match(segment, end)
        at = gap.end() if gap else end
        if kind & HEADS:
            break
    if not first & HEADS and ("*" in segment[:lead] or "#" in segment[:lead]):
        marked = _of_markup(segment, lead)
        first, flags = marked or first, flags | marked
    return Opening(first, flags, lead, at)


def _of_markup(segment: str, lead: int) -> int:
    """A line that is all bold, or a Markdown heading, heads; bold words open."""
    if _HEADING_LINE.match(segment):
        return HEADS
    return OPENS if segment.startswith("**", max(0, lead - 3)) and "**" in segment[lead:] else 0


def _cue(segment: str, at: int, word: str) -> tuple[int, int]:
    """Return the flags of the cue at a place, and where it ends; 0 = there is none."""
    name = word.lower()
    end = at + len(word)
    entries = _TABLE.get(name)
    if entries is not None:
        text = segment[at : at + _LONGEST].lower()
        for phrase, flags in entries:
            if text.startswith(phrase) and not _goes_on(text, len(phrase)):
                return flags, at + len(phrase)
    if name in _DIRECTIVES:
        is_call = segment.startswith("(", end)
        return (0 if is_call or segment.startswith(" that", end) else HEADS), end
    if name in _NUMBERED_WORDS and (numbered := _NUMBERED.match(segment, at)):
        # up to the number's end: it is a label, not a symbol
        is_case = numbered["case"] or numbered["zh"]
        return (HEADS | CASES if is_case else HEADS), numbered.end()
    if name == "i" and segment[end : end + 2].strip(" ").islower():
        return REMARKS, end  # "I should be careful", not the variable of "i = 3"
    return 0, end


def _goes_on(text: str, end: int) -> bool:
    """Whether an English phrase ends inside a word."""
    last, after = text[end - 1], text[end : end + 1]
    return last.isascii() and last.isalpha() and after.isascii() and after.isalpha()


def is_filler(core: str) -> bool:
    """Whether words speak of nothing but the reasoning itself: "let's move on to the next part"."""
    return not any(word not in _EMPTY for word in _CONTENT.findall(core.lower()))
