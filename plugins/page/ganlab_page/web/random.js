"use strict";

/**
 * numpy's RandomState, whose stream numpy promises never to change: MT19937 (Matsumoto and Nishimura 1998), seeded by a
 * whole number from 0 to 2**32 - 1.
 */
class RandomState {
  constructor(seed) {
    this.words = new Uint32Array(624);
    this.place = 624;
    this.kept = null; // the second number of the polar method, until it is asked for
    let word = seed >>> 0;
    for (let i = 0; i < 624; i++) {
      this.words[i] = word;
      word = (Math.imul(1812433253, word ^ (word >>> 30)) + i + 1) >>> 0;
    }
  }

  uint32() {
    if (this.place === 624) this.renew();
    let y = this.words[this.place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  renew() {
    const words = this.words;
    for (let i = 0; i < 624; i++) {
      const y = (words[i] & 0x80000000) | (words[(i + 1) % 624] & 0x7fffffff);
      words[i] = words[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.place = 0;
  }

  /** A number from 0 to 1, of 53 bits. */
  double() {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** standard_normal(): Marsaglia's polar method, two numbers at a time. */
  normal() {
    if (this.kept !== null) {
      const kept = this.kept;
      this.kept = null;
      return kept;
    }
    let x, y, square;
    do {
      x = 2 * this.double() - 1;
      y = 2 * this.double() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const factor = Math.sqrt((-2 * Math.log(square)) / square);
    this.kept = factor * x;
    return factor * y;
  }

  /** uniform(low, high) */
  uniform(low, high) {
    return low + (high - low) * this.double();
  }

  /** randint(n, dtype=int64), n up to 2**32: the fewest bits that hold n - 1, drawn until they do not exceed it. */
  below(n) {
    if (n === 1) return 0; // nothing is drawn
    const mask = 0xffffffff >>> Math.clz32(n - 1);
    let value;
    do value = (this.uint32() & mask) >>> 0;
    while (value > n - 1);
    return value;
  }
}
