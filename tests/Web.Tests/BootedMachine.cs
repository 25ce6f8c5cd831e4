using System.Diagnostics;
using System.Globalization;
using System.Text;
using Xunit;

namespace WebVm.Web.Tests;

/// <summary>A machine that runs Linux: a shell on its screen, another on its serial port.</summary>
public sealed class BootedMachine
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan KeysPatience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Recheck = TimeSpan.FromMilliseconds(150);
    private static int s_commands;

    private readonly HttpClient _api;

    private BootedMachine(HttpClient api, string id, string name) => (_api, Id, Name) = (api, id, name);

    public string Id { get; }

    public string Name { get; }

    public static async Task<BootedMachine> BootAsync(HttpClient api, string image = "tiny", int mebibytes = 256)
    {
        string name = Rest.NewName("linux");
        var vm = await api.CreateVmAsync(new { name, memory = (long)mebibytes << 20, engine = "soft", boot = new { image } });
        var machine = new BootedMachine(api, (string)vm["id"]!, name);
        await api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{machine.Id}/power?wait=60", new { action = "on" });
        await machine.UntilSerialAsync(text => text.Contains("ready on /dev/ttyS0", StringComparison.Ordinal));
        return machine;
    }

    /// <summary>All that the guest has printed on its serial port.</summary>
    public Task<string> SerialAsync() => _api.GetStringAsync($"/api/v1/vms/{Id}/serial", Rest.Cancellation);

    public async Task<string> UntilSerialAsync(Func<string, bool> there)
    {
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            string text = await SerialAsync();
            if (there(text))
            {
                return text;
            }

            Assert.True(Stopwatch.GetElapsedTime(began) < Patience, $"The guest did not print what was waited for. It printed:\n{text}");
            await Task.Delay(Recheck, Rest.Cancellation);
        }
    }

    /// <summary>Runs a command in the shell of the serial port and returns what it printed.</summary>
    public async Task<string> RunAsync(string command)
    {
        string mark = $"{Interlocked.Increment(ref s_commands)}.";
        // The quotes keep the marks out of the echo of what is typed.
        await TypeAsync($"echo 'beg''in'{mark}; {command}\necho 'e''nd'{mark}\n");
        string text = await UntilSerialAsync(printed => printed.Contains($"end{mark}", StringComparison.Ordinal));
        int from = text.IndexOf($"begin{mark}", StringComparison.Ordinal) + $"begin{mark}".Length;
        return text[from..text.IndexOf($"end{mark}", from, StringComparison.Ordinal)];
    }

    /// <summary>Waits until the shell on the screen takes what is typed; the one on the serial port may be there first.</summary>
    public Task ScreenReadyAsync() => RunAsync("until grep -q 'tiny:/root# ' /dev/vcs1; do sleep 0.1; done");

    /// <summary>Lets the guest read lines from its serial port, until the reader is disposed of.</summary>
    public async Task<LineReader> ReadLinesAsync()
    {
        string mark = $"{Interlocked.Increment(ref s_commands)}.";
        var reader = new LineReader(this, mark);
        await TypeAsync(
            "stty -echo; n=0; l=; while [ \"$l\" != end ]; do case \"$l\" in print*) n=$((n+1)); printf \"${l#print}\";; esac; "
            + $"[ $n = \"$s\" ] || {{ s=$n; echo 'rea''ds'{mark}$n/; }}; IFS= read -r l; "
            + $"case \"$l\" in end|print*) ;; *) echo 'li''ne'{mark}$(printf %s \"$l\" | od -An -v -tx1 | tr -d ' \\n')/;; esac; done; s=; stty echo\n");
        await UntilSerialAsync(text => text.Contains(reader.Sign, StringComparison.Ordinal));
        return reader;
    }

    /// <summary>
    /// The events of the guest's keyboard while something is done, until they end as expected: key codes of Linux, + pressed, - released.
    /// </summary>
    public async Task<string> KeysAsync(Func<Task> act, string expected)
    {
        // The shell opens the keyboard's events itself: nothing is missed, however late the copying begins.
        await RunAsync("exec 7</dev/input/event0; cat <&7 > /tmp/keys & P=$!");
        await act();
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            // struct input_event: 16 bytes of time, then type (1 = EV_KEY), code and value; 2 is a repetition.
            string events = await RunAsync(
                "od -An -v -tu2 -w24 /tmp/keys | awk '$9==1 && $11<2 { printf \"%s%d \", $11 ? \"+\" : \"-\", $10 } END { print \"\" }'");
            string seen = string.Join(
                ' ', events.Split('\n').Select(line => line.Trim()).Where(line => line.StartsWith('+') || line.StartsWith('-')));
            if (seen == expected || Stopwatch.GetElapsedTime(began) > KeysPatience)
            {
                await RunAsync("kill $P; exec 7<&-; rm /tmp/keys");
                return seen;
            }
        }
    }

    /// <summary>
    /// Takes the PS/2 mouse from the kernel, if it has it, and lets it report (8042: A8 enables its port, D4 speaks to it; the rates 200,
    /// 200, 80 by F3 give it a wheel and five buttons, F4 starts it).
    /// </summary>
    public Task TakeMouseAsync() => RunAsync(
        "[ -c /dev/port ] || mknod /dev/port c 1 4; echo i8042 > /sys/bus/platform/drivers/i8042/unbind; "
        + "p(){ printf \"\\\\x$2\" | dd of=/dev/port bs=1 seek=$1 conv=notrunc 2>/dev/null; }; g(){ dd if=/dev/port bs=1 skip=$1 "
        + "count=1 2>/dev/null | od -An -tu1; }; "
        + "p 100 a8; for b in f3 c8 f3 c8 f3 50 f4; do p 100 d4; p 96 $b; done");

    /// <summary>The bytes that the mouse has sent.</summary>
    public async Task<byte[]> MouseAsync()
    {
        string bytes = await RunAsync(
            "o=; n=0; while [ $n -lt 9 ]; do n=$((n+1)); while [ $(( $(g 100) & 1 )) = 1 ]; do o=\"$o $(( $(g 96) ))\"; done; done; "
            + "echo \"=$o\"");
        return [.. bytes[(bytes.LastIndexOf('=') + 1)..].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
            .TakeWhile(part => byte.TryParse(part, out _)).Select(part => byte.Parse(part, CultureInfo.InvariantCulture))];
    }

    private async Task TypeAsync(string text)
    {
        using var typed = new ByteArrayContent(Encoding.UTF8.GetBytes(text));
        typed.Headers.ContentType = new("application/octet-stream");
        (await _api.PostAsync($"/api/v1/vms/{Id}/serial", typed, Rest.Cancellation)).EnsureSuccessStatusCode();
    }

    /// <summary>
    /// A program of the guest that reads lines from its serial port, and prints what it is told to. It runs on from one step of a test to
    /// the next: the shell would ask the terminal for the cursor at its prompt between them, and the answer might come when the next
    /// program reads.
    /// </summary>
    public sealed class LineReader(BootedMachine machine, string mark) : IAsyncDisposable
    {
        private int _printed;

        /// <summary>What the guest prints when it reads: another sign after all that it was told to print.</summary>
        public string Sign => $"reads{mark}{_printed}/";

        /// <summary>Lets the guest print something, in printf's notation.</summary>
        public async Task PrintAsync(string text)
        {
            _printed++;
            await machine.TypeAsync($"print{text}\n");
            await machine.UntilSerialAsync(printed => printed.Contains(Sign, StringComparison.Ordinal));
        }

        /// <summary>The lines that have arrived in all, each in hexadecimal, when they are so many.</summary>
        public async Task<string[]> LinesAsync(int count)
        {
            string[] Lines(string text) =>
                [.. text.Split('\n').Select(line => line.Trim())
                    .Where(line => line.StartsWith($"line{mark}", StringComparison.Ordinal) && line.EndsWith('/'))
                        .Select(line => line[(mark.Length + 4)..^1])];
            return Lines(await machine.UntilSerialAsync(text => Lines(text).Length >= count));
        }

        public async ValueTask DisposeAsync()
        {
            await machine.TypeAsync("end\n");
            await machine.RunAsync(":");
        }
    }
}
