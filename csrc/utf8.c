/*
 * UTF-8 beyond one buffer: what the end of a piece means, and texts that arrive in pieces.
 * All of this runs once a piece, not once a byte, so it is the same on every CPU.
 */
#include "wsf_impl.h"

/* Bytes in the code point that `lead` begins; 0 when no code point begins so. */
static size_t sequence_length(uint8_t lead) {
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xC2) {
        return 0; /* a continuation byte, or C0 and C1: always overlong */
    }
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
}

/*
 * RFC 3629 §4: after four of the lead bytes the second byte has a narrower range than 80-BF.
 *
 *     E0  A0-BF  below is overlong            F0  90-BF  below is overlong
 *     ED  80-9F  above are surrogates         F4  80-8F  above is U+110000 and up
 */
static bool second_byte_fits(uint8_t lead, uint8_t second) {
    const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    return second >= low && second <= high;
}

wsf_tail wsf_utf8_tail(const uint8_t *src, size_t n, size_t *at) {
    const size_t length = sequence_length(src[0]);
    if (length == 0) {
        *at = 0;
        return WSF_TAIL_INVALID;
    }
    for (size_t i = 1; i < n && i < length; i++) {
        if (i == 1 ? !second_byte_fits(src[0], src[1]) : (src[i] & 0xC0) != 0x80) {
            *at = i;
            return WSF_TAIL_INVALID;
        }
    }
    return WSF_TAIL_INCOMPLETE;
}

size_t wsf_utf8_feed(const wsf_kernels *k, wsf_utf8_stream *stream, const uint8_t *src, size_t n) {
    size_t done = 0;
    size_t at;

    /* Finish the code point that the last piece began, one byte at a time: it lacks at most 3. */
    while (stream->held_length > 0 && done < n) {
        const size_t length = sequence_length(stream->held[0]);
        stream->held[stream->held_length++] = src[done];
        if (wsf_utf8_tail(stream->held, stream->held_length, &at) == WSF_TAIL_INVALID) {
            return done; /* the bytes before were good, so it is this one that offends */
        }
        done++;
        if (stream->held_length == length) {
            stream->held_length = 0;
            stream->text.chars++;
            if (stream->held[0] > stream->text.highest) {
                stream->text.highest = stream->held[0];
            }
        }
    }
    if (done == n) {
        return n;
    }

    done += k->utf8_scan(src + done, n - done, &stream->text);
    if (done < n) {
        if (wsf_utf8_tail(src + done, n - done, &at) == WSF_TAIL_INVALID) {
            return done + at;
        }
        stream->held_length = (uint8_t)(n - done);
        memcpy(stream->held, src + done, n - done);
    }
    return n;
}
