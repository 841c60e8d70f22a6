/* A timer that an event loop watches as it watches sockets: timerfd, which Linux has. */
#ifndef WSFAST_TIMER_H
#define WSFAST_TIMER_H

#include <errno.h>

#ifdef __linux__
#include <sys/timerfd.h>

static int wsf_timer_new(void) {
    return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

/* Has the descriptor become readable after `seconds`, of which there are 0 to 1e9. */
static int wsf_timer_set(int descriptor, double seconds) {
    struct itimerspec when = {{0, 0}, {0, 0}};
    when.it_value.tv_sec = (time_t)seconds;
    /* Never 0, which with no seconds would mean never. */
    when.it_value.tv_nsec = (long)((seconds - (double)when.it_value.tv_sec) * 999999998.0) + 1;
    return timerfd_settime(descriptor, 0, &when, NULL);
}
#else
static int wsf_timer_new(void) {
    errno = ENOSYS;
    return -1;
}

static int wsf_timer_set(int descriptor, double seconds) {
    (void)descriptor;
    (void)seconds;
    errno = ENOSYS;
    return -1;
}
#endif

#endif
