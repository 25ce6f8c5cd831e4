namespace WebVm.Benchmarks.Console;

/// <summary>The guest of both sides, and what is shown on its screen.</summary>
internal static class ConsoleGuest
{
    public const int Width = 1024;
    public const int Height = 768;
    public const long Memory = 512L << 20;
    public const string CommandLine = "console=tty0 console=ttyS0 quiet";

    /// <summary>A cursor that blinks would change the screen by itself.</summary>
    public static readonly string[] Preparation =
    [
        "echo 0 > /sys/class/graphics/fbcon/cursor_blink",
        "seq 1 4000 | sed 's/$/ The quick brown fox jumps over the lazy dog, 0123456789, and what else there is to say./' > /tmp/text",
        "gzip -c /bin/busybox > /tmp/z; cat /tmp/z /tmp/z /tmp/z /tmp/z | head -c 3145728 > /tmp/a; tail -c +99999 /tmp/a > /tmp/b; "
        + "head -c 99998 /tmp/z >> /tmp/b",
    ];

    public static readonly GuestWork[] Works =
    [
        new("scroll as fast as it goes, 4000 lines", "cat /tmp/text > /dev/tty1", Paced: false),
        new("the same again (the service has compiled by now)", "cat /tmp/text > /dev/tty1", Paced: false),
        new("scroll, a line each 100 ms, 60 lines",
            "tail -n 60 /tmp/text | while read line; do echo \"$line\"; usleep 100000; done > /dev/tty1", Paced: true),
        new("one letter each 50 ms, 100 letters", "for i in $(seq 100); do printf x; usleep 50000; done > /dev/tty1", Paced: true),
        new("whole screen of noise each 250 ms, 20 times",
            "for i in $(seq 10); do cat /tmp/a > /dev/fb0; usleep 250000; cat /tmp/b > /dev/fb0; usleep 250000; done", Paced: true),
    ];
}

/// <summary>Something to show.</summary>
/// <param name="Paced">The guest waits between changes, so that a slower engine has the same to show in the same time.</param>
internal sealed record GuestWork(string Name, string Command, bool Paced);
