using System.Diagnostics;
using System.Runtime.Intrinsics.X86;
using System.Text;
using WebVm.Vmm.Control;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>The native monitor and the ordinary build do the same for a guest, and take over each other's machines.</summary>
public sealed class MonitorTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-monitor").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_machine_is_booted_and_saved_by_one_monitor_and_goes_on_in_the_other(bool nativeFirst)
    {
        string[] monitors = nativeFirst ? [Monitors.Native, Monitors.Ordinary] : [Monitors.Ordinary, Monitors.Native];
        string state = Path.Combine(_folder, "state");
        using (var first = await Machine.StartAsync(monitors[0], Path.Combine(_folder, "first"), "--engine", "soft", "--memory", "256M",
            "--kernel", Images.File("tiny", "vmlinuz"), "--initrd", Images.File("tiny", "initramfs"), "--append", "console=ttyS0 quiet"))
        {
            await first.HearAsync("WebVm tiny ready on /dev/ttyS0", 0);
            await first.TypeAsync("kept=$((6*7))\n");
            await CheckAvxAsync(first);
            await first.Client.SaveAsync(state).WaitAsync(s_limit);
        }

        using var second = await Machine.StartAsync(monitors[1], Path.Combine(_folder, "second"), "--restore", state);
        long from = (await second.Client.StatusAsync().WaitAsync(s_limit)).SerialEnd;
        await second.TypeAsync("echo kept:$kept\n");
        await second.HearAsync("kept:42", from);
        await CheckAvxAsync(second);
    }

    /// <summary>
    /// As installed it is one file, which asks the host for no library and no interpreter, with the symbols for its crashes beside.
    /// </summary>
    [Fact]
    public void The_installed_monitor_is_one_static_program()
    {
        Assert.Equal(
            ["webvm-vmm", "webvm-vmm.dbg"], Directory.GetFiles(Path.GetDirectoryName(Monitors.Native)!).Select(Path.GetFileName)
                .Order(StringComparer.Ordinal));
        byte[] program = File.ReadAllBytes(Monitors.Native);
        const int ProgramInterpreter = 3;
        Assert.DoesNotContain(ProgramInterpreter, ProgramHeaders(program));
        string empty = Directory.CreateDirectory(Path.Combine(_folder, "root")).FullName;
        File.Copy(Monitors.Native, Path.Combine(empty, "webvm-vmm"));
        // In a root that holds nothing else.
        using var process = Process.Start(
            new ProcessStartInfo(
                "unshare", ["--map-root-user", "--root", empty, "/webvm-vmm", "--help"]) { RedirectStandardOutput = true,
                    RedirectStandardError = true })!;
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(s_limit));
        Assert.True(process.ExitCode == 0, process.StandardError.ReadToEnd());
        Assert.Contains("virtual machine monitor", output, StringComparison.Ordinal);
    }

    /// <summary>The guest has the vector extensions that this host has: a native program finds them when it runs.</summary>
    private static async Task CheckAvxAsync(Machine machine)
    {
        long from = (await machine.Client.StatusAsync().WaitAsync(s_limit)).SerialEnd;
        await machine.TypeAsync("grep -c -w avx2 /proc/cpuinfo | sed 's/^/avx2 on /'\n");
        await machine.HearAsync($"\navx2 on {(Avx2.IsSupported ? 1 : 0)}", from);
    }

    private static IEnumerable<int> ProgramHeaders(byte[] elf)
    {
        int table = (int)BitConverter.ToInt64(elf, 0x20);
        int size = BitConverter.ToInt16(elf, 0x36);
        return Enumerable.Range(0, BitConverter.ToInt16(elf, 0x38)).Select(index => BitConverter.ToInt32(elf, table + (index * size)));
    }

    private sealed class Machine(Process process, ControlClient client) : IDisposable
    {
        public ControlClient Client => client;

        public static async Task<Machine> StartAsync(string program, string socket, params string[] arguments)
        {
            var process = Process.Start(program, ["serve", "--control", socket, .. arguments]);
            for (long start = Stopwatch.GetTimestamp(); ;)
            {
                try
                {
                    return new Machine(process, (await ControlClient.ConnectAsync(socket)).Start());
                }
                catch (Exception failure) when (failure is System.Net.Sockets.SocketException or IOException && !process.HasExited
                    && Stopwatch.GetElapsedTime(start) < s_limit)
                {
                    await Task.Delay(20);
                }
            }
        }

        /// <summary>What the guest's serial port takes at once is little.</summary>
        public async Task TypeAsync(string text)
        {
            byte[] bytes = Encoding.ASCII.GetBytes(text);
            for (int written = 0; written < bytes.Length;)
            {
                written += await client.WriteSerialAsync(bytes[written..]).WaitAsync(s_limit);
            }
        }

        /// <summary>Waits until the guest has said that since an offset.</summary>
        public async Task HearAsync(string text, long from)
        {
            var heard = new StringBuilder();
            for (long start = Stopwatch.GetTimestamp(); !heard.ToString().Replace("\r", "", StringComparison.Ordinal)
                .Contains(text, StringComparison.Ordinal);)
            {
                Assert.True(Stopwatch.GetElapsedTime(start) < s_limit, $"Only this was heard: {heard}");
                var data = await client.ReadSerialAsync(from).WaitAsync(s_limit);
                heard.Append(Encoding.ASCII.GetString(data.Data));
                from = data.Offset + data.Data.Length;
                if (data.Data.Length == 0)
                {
                    await Task.Delay(20);
                }
            }
        }

        public void Dispose()
        {
            client.Dispose();
            process.Kill();
            process.WaitForExit();
            process.Dispose();
        }
    }
}
