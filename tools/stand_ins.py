"""Draw the stand-ins for a machine with no network: `python -m tools.stand_ins`.

They are drawings of CIFAR-10's ten classes, and larger ones of cats and dogs. They lie
in `data/stand-ins`, on sheets, where `utils/data.py` reads them: drawn once, the same
everywhere.

A subject is drawn in coordinates of its own: the origin in its middle, x forward, y
down, both from about -100 to 100. Shapes are written as SVG writes a polygon's points,
"x,y x,y ...", with a "/" between one shape and the next. Pose, colours, background and
what stands in front are random, from a generator for each drawing: none depends on
another, and one version of Pillow draws the same pixels everywhere.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from utils import data

Colour = tuple[int, ...]
Point = tuple[float, float]

OVERSAMPLING = 4  # drawn that much larger, then averaged: smooth edges
CIRCLE = [(math.cos(k * math.pi / 12), math.sin(k * math.pi / 12)) for k in range(24)]
BLACK, STEEL, SILVER, WHITE = (20, 20, 24), (70, 72, 78), (165,) * 3, (245, 243, 236)
PALETTES = {
    "fur": "8a5a33 b98a55 3a302a d9c7a8 77706a e8e4dc c9803c 5b3b26",
    "paint": "c0302c 2c56a8 e6e6e2 9aa1a8 e0b62e 2f7d4f 2b2b30 d9772b",
    "metal": "e8ebee c3c9cf 9aa5b0 f4f2ea 6f7f8f d7dfea",
    "feather": "8a6a48 4a4a50 b8392f 3f78b5 d8b23c e9e6df 6d7f57 2c2c30",
    "skin": "5f9a3a 83b04a 3f7a46 8a7a3c 6b5b34 a7b85a 4f8f6f",
    "sky": "7fb2e0 a9cdea c9d9e4 e4e6e4 5f97d0 e8c9a8 8f9daa",
    "water": "3f6f95 5c8fae 2f5878 6f9aa5 4a7f86 8aa9b8",
    "grass": "6f9a45 87a657 567d3a a3a35a 4c6b3c b5a86a",
    "road": "85868a a09d98 6b6d72 b8b0a2 9a8f80",
    "wood": "4d6b40 3c5236 6a7d4a 7a6a4a 52493a",
    "wall": "d8cfc0 b9a58c e9e7e3 a8b0b5 9a7f6a c7d0c4 7f6f66 f3f3f3",
}


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, darker (factor under 1) or lighter."""
    return tuple(min(255, int(channel * factor)) for channel in colour)


def rounded(points: list[Point]) -> list[Point]:
    """The polygon with each corner cut off (Chaikin); twice makes a smooth curve."""
    corners = []
    for (a, b), (c, d) in zip(points, points[1:] + points[:1], strict=True):
        corners.append((0.75 * a + 0.25 * c, 0.75 * b + 0.25 * d))
        corners.append((0.25 * a + 0.75 * c, 0.25 * b + 0.75 * d))
    return corners


@dataclass(frozen=True)
class Pen:
    """Draws in a subject's coordinates; `place` turns a point into pixels."""

    canvas: ImageDraw.ImageDraw
    rng: random.Random
    place: Callable[[float, float], Point]
    unit: float  # pixels

    def at(self, x: float, y: float, size: float) -> Pen:
        """A pen for a part: its origin at (x, y), drawn `size` times as large."""

        def place(u: float, v: float) -> Point:
            return self.place(x + size * u, y + size * v)

        return replace(self, place=place, unit=self.unit * size)

    def pick(self, palette: str) -> Colour:
        """A colour near one of the palette's."""
        base = bytes.fromhex(self.rng.choice(PALETTES[palette].split()))
        light = self.rng.randint(-18, 18)
        near = (channel + light + self.rng.randint(-8, 8) for channel in base)
        return tuple(max(0, min(255, channel)) for channel in near)

    def shapes(self, text: str) -> Iterator[list[Point]]:
        """The pixels of "x,y x,y .../x,y ...", shape by shape."""
        for shape in text.split("/"):
            pairs = (pair.split(",") for pair in shape.split())
            yield [self.place(float(x), float(y)) for x, y in pairs]

    def polygon(self, text: str, colour: Colour) -> None:
        """Filled polygons."""
        for points in self.shapes(text):
            self.canvas.polygon(points, colour)

    def curve(self, text: str, colour: Colour) -> None:
        """Filled polygons with round corners."""
        for points in self.shapes(text):
            self.canvas.polygon(rounded(rounded(points)), colour)

    def line(self, text: str, width: float, colour: Colour) -> None:
        """Lines through points."""
        for points in self.shapes(text):
            pixels = max(1, round(width * self.unit))
            self.canvas.line(points, colour, pixels, joint="curve")

    def oval(self, text: str, rx: float, ry: float, colour: Colour) -> None:
        """An ellipse around each point."""
        for x, y in (map(float, pair.split(",")) for pair in text.split()):
            edge = [self.place(x + rx * cos, y + ry * sin) for cos, sin in CIRCLE]
            self.canvas.polygon(edge, colour)

    def ring(self, text: str, radius: float, outer: Colour, inner: Colour) -> None:
        """Discs with a smaller disc inside: eyes and wheels."""
        self.oval(text, radius, radius, outer)
        self.oval(text, radius * 0.5, radius * 0.6, inner)

    def legs(self, xs: str, width: float, fur: Colour) -> None:
        """Legs down to y = 95, far and near ones in turn, each with its own step."""
        for number, x in enumerate(map(float, xs.split())):
            step = self.rng.uniform(-14, 14)
            path = f"{x},10 {x + step * 0.2},60 {x + step},95"
            self.line(path, width, shade(fur, 1 if number % 2 else 0.75))


def airplane(pen: Pen) -> None:
    """From the side to from above: by how far its wings reach."""
    body, trim, span = pen.pick("metal"), pen.pick("paint"), pen.rng.uniform
    far, near, sweep = -span(20, 75), span(45, 80), span(15, 55)
    dark, light = shade(body, 0.7), shade(body, 0.85)
    pen.polygon(f"18,-6 {-sweep},{far} {-sweep - 20},{far} -22,-6", dark)
    pen.polygon(f"-68,-4 -92,{far * 0.45} -102,{far * 0.45} -86,-4", dark)
    pen.curve("-100,-8 -60,-13 55,-14 80,-10 104,2 70,12 -40,11 -98,0", body)
    pen.line("-90,2 80,4", 4, trim)
    pen.oval("-50,-5 -36,-5 -22,-5 -8,-5 6,-5 20,-5 34,-5 48,-5", 3.5, 3.5, STEEL)
    pen.polygon("80,-9 90,-5 74,-3 72,-9", STEEL)
    pen.polygon("-62,-9 -88,-52 -104,-52 -96,-6", trim)
    pen.polygon(f"-68,2 -92,{near * 0.4} -104,{near * 0.4} -90,2", light)
    pen.polygon(f"22,3 {-sweep},{near} {-sweep - 22},{near} -24,3", light)
    pen.oval(f"{8 - sweep * 0.3},{near * 0.45}", 15, 7, trim)


def automobile(pen: Pen) -> None:
    """A low body with a glazed cabin, from the front or from the side."""
    paint, glass = pen.pick("paint"), pen.pick("water")
    if pen.rng.random() < 0.35:
        pen.ring("-58,52 58,52", 20, BLACK, SILVER)
        pen.curve("-62,0 -48,-58 -30,-66 30,-66 48,-58 62,0", shade(paint, 0.85))
        pen.polygon("-48,-8 -38,-52 38,-52 48,-8", glass)
        pen.curve("-86,52 -84,-2 -60,-14 60,-14 84,-2 86,52", paint)
        pen.polygon("-36,14 36,14 32,30 -32,30", STEEL)
        return pen.oval("-60,14 60,14", 15, 10, WHITE)
    roof, back = pen.rng.uniform(-58, -42), pen.rng.uniform(-88, -50)
    cabin = f"{back - 12},-2 {back + 8},{roof} {back + 25},{roof} 22,{roof} 62,-2"
    pen.curve(cabin, shade(paint, 0.85))
    pen.polygon(f"{back + 6},-8 {back + 18},{roof + 9} -22,{roof + 9} -22,-8", glass)
    pen.polygon(f"-15,-8 -15,{roof + 9} 12,{roof + 9} 42,-8", glass)
    pen.curve("-104,38 -104,-2 -80,-10 50,-8 92,2 104,14 104,38 60,40", paint)
    pen.line("-96,18 96,22", 4, shade(paint, 0.7))
    pen.ring("-58,36 58,36", 22, BLACK, SILVER)
    pen.oval("95,12", 7, 6, WHITE)


def bird(pen: Pen) -> None:
    """Perched on thin legs, or in flight with its wings up or down."""
    coat, beak = pen.pick("feather"), pen.pick("paint")
    wing, flying = shade(coat, 0.65), pen.rng.random() < 0.45
    tip = pen.rng.choice([-1, 1]) * pen.rng.uniform(85, 120)
    if flying:
        pen.curve(f"34,-10 -20,{tip} -52,{tip * 1.1} -50,{tip * 0.6} -28,0", wing)
    else:
        pen.line("-5,40 -2,88 12,90/12,40 15,88 30,90", 4, beak)
    pen.curve("-30,10 -98,30 -104,12 -60,0 -25,-12", wing)
    pen.curve("-50,15 -20,-28 40,-40 62,-20 45,30 0,48 -30,40", coat)
    pen.curve("-20,40 30,25 48,-5 52,10 40,36 0,48", shade(coat, 1.4))
    pen.oval("54,-38", 26, 24, coat)
    pen.polygon("74,-46 108,-32 74,-26", beak)
    pen.ring("62,-44", 6, WHITE, BLACK)
    if flying:
        wing = shade(coat, 0.8)
        pen.curve(f"36,-6 16,{tip} -14,{tip * 1.2} -32,{tip * 0.6} -26,8", wing)
    else:
        pen.curve("30,-18 10,-20 -30,0 -70,22 -20,28 15,18", wing)


def cat_head(pen: Pen, fur: Colour) -> None:
    """A round face with pointed ears and whiskers."""
    pink, dark = (222, 150, 150), shade(fur, 0.6)
    pen.polygon("84,-10 82,-112 14,-56/-84,-10 -82,-112 -14,-56", dark)
    pen.polygon("72,-30 72,-88 30,-56/-72,-30 -72,-88 -30,-56", pink)
    pen.oval("0,8", 92, 78, fur)
    pen.line("-24,-66 -17,-34/0,-68 0,-34/24,-66 17,-34", 8, dark)
    pen.oval("0,42", 40, 28, shade(fur, 1.25))
    pen.oval("-40,-6 40,-6", 20, 18, (150, 190, 70))
    pen.oval("-40,-6 40,-6", 6, 16, BLACK)
    pen.polygon("-12,22 12,22 0,36", pink)
    for x in (-118, 118):
        pen.line(f"0,38 {x},24/0,40 {x},42/0,42 {x},60", 3, WHITE)


def cat(pen: Pen) -> None:
    """A face, a cat that sits, or one that walks with its tail up."""
    fur, kind = pen.pick("fur"), pen.rng.randrange(3)
    if kind == 0:
        return cat_head(pen.at(0, 8, 0.85), fur)
    if kind == 1:
        pen.line("-40,80 -85,78 -92,40 -78,20", 13, shade(fur, 0.65))
        pen.curve("-52,98 -60,50 -30,-10 30,-10 52,40 48,98", fur)
        pen.line("-14,30 -14,94/18,30 18,94", 14, shade(fur, 0.85))
        return cat_head(pen.at(4, -45, 0.5), fur)
    pen.line("-70,0 -98,-30 -92,-70 -74,-88", 12, shade(fur, 0.65))
    pen.legs("-64 -48 34 50", 16, fur)
    pen.curve("-88,0 -60,-22 40,-20 66,-10 60,44 -60,46", fur)
    stripes = "-50,-16 -54,14/-25,-16 -29,14/0,-16 -4,14/25,-16 21,14"
    pen.line(stripes, 7, shade(fur, 0.65))
    cat_head(pen.at(68, -30, 0.42), fur)


def deer(pen: Pen) -> None:
    """A slim body on thin legs, with antlers and a white tail."""
    pen, coat = pen.at(-4, 14, 0.9), pen.pick("fur")
    pen.legs("-56 -44 22 34", 7, coat)
    pen.oval("-70,-6", 9, 14, WHITE)
    pen.curve("-74,-16 -40,-24 20,-22 44,-14 38,20 0,24 -62,26", coat)
    pen.curve("-50,24 20,12 34,20 0,26", shade(coat, 1.35))
    pen.curve("14,-12 44,-74 62,-66 46,10", coat)
    pen.curve("42,-84 66,-82 98,-62 94,-52 60,-54 44,-62", coat)
    pen.curve("46,-80 26,-92 30,-78 44,-70", shade(coat, 0.75))
    pen.oval("94,-58 66,-72", 5, 4, BLACK)
    antlers = "54,-80 44,-108 52,-138/47,-102 22,-122/48,-118 72,-134"
    pen.line("54,-80 30,-106 30,-140/30,-110 4,-126", 6, (128, 98, 64))
    pen.line(antlers, 6, (186, 150, 102))
    if pen.rng.random() < 0.5:
        pen.oval("-52,-8 -34,-12 -16,-6 2,-12 -42,6 -24,8", 4, 4, WHITE)


def dog_head(pen: Pen, fur: Colour, ear: Colour) -> None:
    """A long face with hanging ears, a snout and often a tongue."""
    pen.curve("-62,-40 -50,-84 0,-96 50,-84 62,-40 50,40 0,70 -50,40", fur)
    pen.curve("36,-82 74,-80 108,20 84,62 56,10", ear)
    pen.curve("-36,-82 -74,-80 -108,20 -84,62 -56,10", ear)
    pen.ring("-26,-26 26,-26", 12, WHITE, BLACK)
    if pen.rng.random() < 0.6:
        pen.curve("-14,60 14,60 18,104 0,112 -18,104", (224, 105, 120))
    pen.curve("-26,-20 26,-20 50,40 30,78 -30,78 -50,40", shade(fur, 1.3))
    pen.curve("-26,14 26,14 22,38 0,48 -22,38", BLACK)
    pen.line("0,44 0,64", 5, BLACK)


def dog(pen: Pen) -> None:
    """A face, or a dog in profile: snout ahead, ear hanging, tail up."""
    fur = pen.pick("fur")
    ear = shade(fur, pen.rng.uniform(0.45, 0.75))
    if pen.rng.random() < 0.45:
        return dog_head(pen.at(0, 0, 0.88), fur, ear)
    pen.line("-70,-8 -94,-30 -104,-58", 11, fur)
    pen.legs("-64 -46 26 42", 16, fur)
    pen.curve("-84,-10 -60,-24 40,-30 60,-20 54,30 20,38 -66,34", fur)
    if pen.rng.random() < 0.5:
        pen.oval("-24,-2", 24, 16, ear)
    pen.curve("24,-10 36,-62 66,-60 62,10", fur)
    pen.oval("56,-58", 30, 26, fur)
    pen.curve("60,-66 104,-56 110,-42 100,-34 60,-34", shade(fur, 1.2))
    pen.oval("106,-52 68,-66", 7, 6, BLACK)
    pen.curve("34,-84 52,-80 54,-30 36,-8 22,-30", ear)
    pen.line("34,-26 62,-16", 8, pen.pick("paint"))


def frog(pen: Pen) -> None:
    """Squat, with folded legs and bulging eyes; from the front or from the side."""
    skin, gold = pen.pick("skin"), (236, 200, 70)
    dark, light, mouth = shade(skin, 0.7), shade(skin, 1.4), shade(skin, 0.4)
    if pen.rng.random() < 0.5:
        pen.curve("40,60 96,10 106,50 90,80/-40,60 -96,10 -106,50 -90,80", dark)
        pen.line("40,40 48,76 74,86/-40,40 -48,76 -74,86", 12, skin)
        pen.oval("-44,-46 44,-46", 26, 26, skin)
        pen.curve("-80,10 -60,-40 60,-40 80,10 66,70 0,84 -66,70", skin)
        pen.curve("-56,30 0,38 56,30 46,66 0,78 -46,66", light)
        pen.line("-62,6 -30,24 30,24 62,6", 6, mouth)
        return pen.ring("-44,-48 44,-48", 18, gold, BLACK)
    pen.curve("-20,60 -100,40 -90,-10 -50,-16 -20,20", dark)
    pen.line("-60,40 -98,74 -40,80", 13, dark)
    pen.curve("-84,30 -40,-24 30,-52 84,-30 100,-8 70,30 20,56 -60,58", skin)
    pen.curve("20,52 70,28 96,-4 60,6 20,24", light)
    pen.line("96,-8 60,6 40,4", 5, mouth)
    pen.line("34,40 44,78 74,82", 12, skin)
    pen.oval("-40,4 -12,-12 -14,20 16,-22", 8, 6, dark)
    pen.oval("52,-46", 24, 24, skin)
    pen.ring("54,-48", 17, gold, BLACK)


def horse(pen: Pen) -> None:
    """A heavy body with mane and long tail; its head up or grazing."""
    coat = pen.pick("fur")
    hair = shade(coat, pen.rng.choice([0.45, 0.45, 1.6]))
    pen.legs("-62 -46 24 40", 13, coat)
    pen.curve("-70,-30 -98,-10 -104,60 -88,70 -80,20 -66,0", hair)
    pen.curve("-84,-20 -60,-36 -10,-26 40,-36 60,-10 50,24 0,32 -66,30", coat)
    if pen.rng.random() < 0.7:
        pen.curve("10,-26 40,-92 58,-92 68,-70 56,0", coat)
        pen.curve("44,-98 66,-90 100,-46 96,-34 80,-36 50,-64", coat)
        pen.curve("56,-96 40,-104 16,-50 2,-22 20,-22 44,-70", hair)
        pen.polygon("48,-88 54,-108 60,-88", coat)
        return pen.oval("66,-76 94,-42", 4, 4, BLACK)
    pen.curve("26,-30 60,-30 96,30 82,44 50,20", coat)
    pen.curve("78,24 98,28 98,76 86,88 76,78", coat)
    pen.curve("34,-38 66,-34 106,28 96,34 66,-6", hair)
    pen.polygon("90,26 104,14 100,34", coat)
    pen.oval("90,42 90,76", 4, 4, BLACK)


def ship(pen: Pen) -> None:
    """A hull with a mast: under sail, a freighter, or a liner with a funnel."""
    hull, deck, kind = pen.pick("paint"), pen.pick("metal"), pen.rng.randrange(3)
    if kind == 0:
        pen.line("0,40 0,-104", 6, (95, 70, 45))
        pen.polygon("-6,-98 -6,24 -74,24", deck)
        pen.polygon("8,-88 8,24 70,24", shade(deck, 0.85))
        pen.polygon("0,-104 0,-90 24,-97", hull)
    elif kind == 1:
        pen.polygon("-92,30 -92,-34 -54,-34 -54,30", deck)
        for x in range(-44, 56, 24):
            crate, top = pen.pick("paint"), pen.rng.uniform(-24, 8)
            pen.polygon(f"{x},30 {x},{top} {x + 22},{top} {x + 22},30", crate)
        pen.line("-74,-34 -74,-70/76,30 76,-60 36,-30", 5, STEEL)
    else:
        pen.polygon("-74,30 -66,2 58,2 70,30", deck)
        pen.polygon("-52,2 -46,-22 30,-22 40,2", shade(deck, 0.9))
        pen.polygon("-24,-22 -20,-62 2,-62 0,-22", hull)
        pen.line("34,0 34,-84", 5, STEEL)
        pen.oval("-54,14 -38,14 -22,14 -6,14 10,14 26,14 42,14", 4, 4, STEEL)
    pen.polygon("-100,26 104,26 78,70 -84,70", hull)
    pen.polygon("-92,50 91,50 78,70 -84,70", shade(hull, 0.6))
    pen.line("-112,70 112,70", 5, WHITE)


def truck(pen: Pen) -> None:
    """A cab ahead of a ribbed box or of a loaded tipper."""
    box, top, kind = pen.pick("metal"), pen.rng.uniform(-72, -48), pen.rng.randrange(3)
    box = box if pen.rng.random() < 0.5 else pen.pick("paint")
    pen.line("-98,34 92,34", 12, STEEL)
    if kind == 0:
        pen.curve(f"-95,0 -70,{top + 15} 10,{top + 10} 34,0", pen.pick("wall"))
        pen.polygon("-104,-22 36,-22 26,28 -88,28", box)
    else:
        pen.polygon(f"-102,{top} 34,{top} 34,28 -102,28", box)
        pen.line(f"-102,{top + 4} 34,{top + 4}", 8, shade(box, 0.75))
        for x in range(-80, 30, 22 * kind):
            pen.line(f"{x},{top + 10} {x},26", 3, shade(box, 0.75))
    pen.curve("38,32 38,-44 74,-44 90,-12 102,-4 104,34 60,34", pen.pick("paint"))
    pen.polygon("56,-34 72,-34 86,-8 56,-8", pen.pick("sky"))
    pen.oval("98,14", 6, 6, WHITE)
    pen.ring("-76,40 -40,40 70,40", 21, BLACK, SILVER)


SUBJECTS = {  # how far it leans (radians), and what is behind: above/below a horizon
    airplane: (0.6, "sky sky sky/road sky/water sky/grass sky/wood wall"),
    automobile: (0.12, "wall/road sky/road wood/road sky/grass grass wall sky/water"),
    bird: (0.35, "sky sky/grass sky/water water grass wood/grass wood wall"),
    cat: (0.2, "wall wall/wall wall/road grass wood/grass wood sky/grass"),
    deer: (0.15, "wood/grass wood grass sky/grass wood/water wall sky/wood"),
    dog: (0.2, "wall wall/wall grass sky/grass wall/road sky/water wood/road"),
    frog: (0.3, "water grass wood/water wood/grass wall wall/water wall/wall"),
    horse: (0.15, "sky/grass wood/grass grass sky/road wall wood/road sky"),
    ship: (0.15, "sky/water water sky wood/water wall/water sky/road wall"),
    truck: (0.12, "wall/road sky/road wood/road sky/grass grass wall sky"),
}
CLASSES = tuple(subject.__name__ for subject in SUBJECTS)
QUALITY, COLUMNS = 90, 50  # of WebP; drawings in a row of a sheet
DRAWN = {  # classes, how many drawings, from which seed, how large
    "cifar10-train": (CLASSES, 5_000, 0, 32),
    "cifar10-test": (CLASSES, 1_000, 1, 32),
    "cats_and_dogs-train": (data.ANIMALS, 1_600, 0, 64),
    "cats_and_dogs-test": (data.ANIMALS, 400, 1, 64),
}


def background(image: Image.Image, pen: Pen, scene: str) -> None:
    """One material, or two at a horizon, in patches that blend into each other."""
    side, top, rng = image.width, 0, pen.rng
    for material in scene.split("/"):
        size, strength = (rng.randint(2, 14), rng.randint(2, 14)), rng.uniform(0, 0.2)
        patches = Image.frombytes("L", size, rng.randbytes(size[0] * size[1]))
        plain = Image.new("RGB", size, pen.pick(material))
        ground = Image.blend(plain, patches.convert("RGB"), strength)
        ground = ground.resize((side, side - top), Image.Resampling.BILINEAR)
        image.paste(ground, (0, top))
        top = round(side * rng.uniform(0.35, 0.8))


def thing(pen: Pen) -> None:
    """What is behind or in front of the subject: a pole, a rail, a leaf or a bush."""
    span, green, grey = pen.rng.uniform, pen.pick("grass"), pen.pick("road")
    x, y, lean, size = span(-90, 90), span(-90, 90), span(-20, 20), span(0.25, 0.5)
    kind = pen.rng.choice(["pole", "rail", "leaf", "bush"])
    if kind == "pole":
        pen.line(f"{x},-110 {x + lean},110", 30 * size, grey)
    elif kind == "rail":
        pen.line(f"-110,{y} 110,{y + lean}", 30 * size, grey)
    elif kind == "leaf":
        pen = pen.at(x, y, size)
        pen.curve("-100,0 -40,-60 40,-50 104,0 40,50 -40,60", green)
        pen.line("-120,10 90,0", 8, shade(green, 0.7))
    else:
        pen.at(x, 95, size).oval(f"-60,10 10,{lean - 20} 70,15", 66, 60, green)


def pose(pen: Pen, lean: float) -> Pen:
    """A pen with a random size, stretch, direction, lean, bend and position."""
    span, facing = pen.rng.uniform, pen.rng.choice([-1, 1])
    moved = pen.at(span(-32, 32), span(-32, 32), span(0.5, 0.95))
    wide, tall, bend = facing * span(0.85, 1.15), span(0.85, 1.15), span(-0.1, 0.1)
    angle = span(-lean, lean)
    cos, sin = math.cos(angle), math.sin(angle)

    def place(x: float, y: float) -> Point:
        u, v = wide * x, tall * (y + bend * x * x / 100)
        return moved.place(cos * u - sin * v, sin * u + cos * v)

    return replace(moved, place=place)


def photograph(image: Image.Image, rng: random.Random) -> Image.Image:
    """The light of the day, and the camera's noise."""
    grey, light, noise = rng.randint(50, 205), rng.uniform(0, 0.3), rng.uniform(0, 0.12)
    tint = tuple(grey + rng.randint(-50, 50) for _ in range(3))
    image = Image.blend(image, Image.new("RGB", image.size, tint), light)
    grain = rng.randbytes(3 * image.width * image.height)  # last: it depends on size
    return Image.blend(image, Image.frombytes("RGB", image.size, grain), noise)


def draw(label: int, *, seed: int, index: int, size: int = 32) -> Image.Image:
    """One drawing; it follows from its arguments alone.

    Args:
        label: the class, an index into `CLASSES`.
        seed: which set of drawings; a training and a test set take two seeds.
        index: which drawing of the set.
        size: height and width in pixels; all but the noise is the same at every size.

    Returns:
        An RGB image.
    """
    rng = random.Random(f"{seed}-{label}-{index}")  # a string: the same everywhere
    subject, (lean, scenes) = list(SUBJECTS.items())[label]
    side = size * OVERSAMPLING
    image, unit = Image.new("RGB", (side, side)), side / 200
    page = Pen(ImageDraw.Draw(image), rng, lambda x, y: (unit * x, unit * y), unit)
    pen = page.at(100, 100, 1)
    background(image, pen, rng.choice(scenes.split()))
    for _ in range(rng.randint(0, 2)):
        thing(pen)
    subject(pose(pen, lean))
    if rng.random() < 0.4:
        thing(pen)
    return photograph(image.reduce(OVERSAMPLING), rng)


def labels(n: int, seed: int, classes: int) -> list[int]:
    """Which class each of `n` drawings shows: of every ten, each is of another one."""
    order, labels = random.Random(f"{seed}-order"), []
    while len(labels) < n:
        labels += order.sample(range(classes), classes)
    return labels[:n]


def draw_sheet(classes: tuple[str, ...], n: int, seed: int, size: int) -> tuple:
    """Drawings side by side, row by row, on one image; and their labels."""
    numbers = labels(n, seed, len(classes))
    sheet = Image.new("RGB", (COLUMNS * size, n // COLUMNS * size))
    for index, label in enumerate(numbers):
        subject = CLASSES.index(classes[label])
        drawing = draw(subject, seed=seed, index=index, size=size)
        row, column = divmod(index, COLUMNS)
        sheet.paste(drawing, (column * size, row * size))
    return sheet, numbers


def main() -> None:
    """Draw all the sheets, and write down what is on them."""
    parser = argparse.ArgumentParser(
        description="Draw the stand-ins of the real data sets into data/stand-ins, in"
        " place of those that are there. Seeds are fixed: the drawings stay the same."
    )
    parser.parse_args()
    data.SHEETS.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, (classes, n, seed, size) in DRAWN.items():
        sheet, numbers = draw_sheet(classes, n, seed, size)
        sheet.save(data.SHEETS / f"{name}.webp", quality=QUALITY, method=6)
        written[name] = "".join(map(str, numbers))
    text = json.dumps(written, indent=1) + "\n"
    (data.SHEETS / "labels.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
