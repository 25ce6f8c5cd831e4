using System.Diagnostics;
using System.Text.Json;
using WebVm.Vmm.Control;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>The program itself, as users and scripts start it.</summary>
public sealed class CommandLineTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-cli").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_guest_that_powers_off_ends_with_0()
    {
        var (code, output, _) = Run(
            "run", "--engine", "soft", "--memory", "256M", "--kernel", Images.File("tiny", "vmlinux"), "--initrd",
            Images.File("tiny", "initramfs"),
            "--append", "console=ttyS0 quiet webvm.bench=poweroff");
        Assert.Equal(0, code);
        Assert.Contains("WebVm tiny reached /init", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_Multiboot_kernel_runs_and_ends_with_its_debug_exit_code()
    {
        string kernel = MultibootSample.Assemble(MultibootSample.Hello, _folder);
        var (code, output, errors) = Run("run", "--engine", "soft", "--memory", "16M", "--kernel", kernel, "--append", "one two");
        Assert.True(code == ((0x15 << 1) | 1), $"{code}: {output}{errors}");
        Assert.Contains("Hello from Multiboot: ", output, StringComparison.Ordinal);
        Assert.Contains("one two", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_guest_that_crashes_ends_with_6_and_says_where()
    {
        string kernel = MultibootSample.Assemble(MultibootSample.TripleFault, _folder);
        var (code, _, errors) = Run("run", "--engine", "soft", "--memory", "16M", "--kernel", kernel);
        Assert.Equal(6, code);
        Assert.Contains("triple fault on vCPU 0 (rip=0010:2000", errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--kernel", "/nonexistent")]
    [InlineData("--kernel", "/etc/passwd")]
    [InlineData("--cpus", "0")]
    [InlineData("--cpu-model", "z80")]
    [InlineData("--cpu-vendor", "via")]
    [InlineData("--cpu-features", "avx9")]
    [InlineData("--cpu-features", "-lm")]
    [InlineData("--memory", "lots")]
    [InlineData("--numa", "cpus=0")]
    [InlineData("--numa", "cpus=0,memory=64M,color=red")]
    [InlineData("--display", "big")]
    [InlineData("--engine", "fast")]
    [InlineData("--serial", "pigeon")]
    [InlineData("--restore", "/nonexistent")]
    [InlineData("--spec", "/nonexistent")]
    [InlineData("--no-such-option", "x")]
    public void Bad_input_ends_with_2_and_a_message(string option, string value)
    {
        string[] kernel = option == "--kernel" ? [] : ["--kernel", "/etc/hostname"];
        var (code, output, errors) = Run(["run", option, value, .. kernel]);
        Assert.True(code == 2, $"{code}: {errors}");
        Assert.Empty(output);
        Assert.StartsWith("webvm-vmm: ", errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", errors, StringComparison.Ordinal);
    }

    [Fact]
    public void A_processor_that_cannot_be_had_is_named()
    {
        string kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder);
        var (code, _, errors) = Run("run", "--engine", "soft", "--memory", "16M", "--kernel", kernel, "--cpu-model", "x86-64-v4");
        Assert.Equal(2, code);
        Assert.Contains("/cpu: the soft engine has no x86-64-v4: it lacks avx512f", errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("there is no such socket. A machine makes it when it is started with --control", "ctl", "/tmp/webvm-nowhere.sock",
        "status")]
    [InlineData("no machine listens there", "ctl", "/etc/hostname", "status")]
    [InlineData("ctl takes the control socket of a running machine, and then what to do: status, ", "ctl")]
    [InlineData("ctl what? There are status, ", "ctl", "/tmp/webvm-nowhere.sock")]
    [InlineData("'frob' is not known here", "ctl", "/tmp/webvm-nowhere.sock", "frob")]
    [InlineData("'frob' is not known here", "frob")]
    [InlineData("a verb is missing; there are run, serve, ctl, probe")]
    [InlineData("--kernel: nothing to boot is given. Name a kernel (bzImage, ELF or Multiboot), and an initrd if it wants one, or a "
        + "machine by --spec, or a saved state by --restore",
        "run")]
    [InlineData("./webvm vmm run --kernel $F/vmlinux --initrd $F/initramfs", "run")]
    public void What_a_person_needs_is_said(string sentence, params string[] arguments)
    {
        var (code, output, errors) = Run(arguments);
        Assert.True(code is 2 or 4, $"{code}");
        Assert.Empty(output);
        Assert.Contains(sentence, errors, StringComparison.Ordinal);
        Assert.All(errors.TrimEnd().Split('\n'), line => Assert.StartsWith("webvm-vmm: ", line, StringComparison.Ordinal));
    }

    [Fact]
    public void Its_version_has_its_name_and_ends_with_0()
    {
        var (code, output, errors) = Run("--version");
        Assert.Equal((0, ""), (code, errors));
        Assert.Matches(@"^webvm-vmm \d+\.\d+\.\d+\S*( \([0-9a-f]{12}\))?\n$", output);
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("run", "--help")]
    [InlineData("serve", "--help")]
    [InlineData("ctl", "--help")]
    [InlineData("ctl", "status", "--help")]
    [InlineData("ctl", "/tmp/webvm-nowhere.sock", "status", "--help")]
    [InlineData("probe", "--help")]
    public void Help_goes_to_standard_output_and_ends_with_0(params string[] arguments)
    {
        var (code, output, errors) = Run(arguments);
        Assert.Equal((0, ""), (code, errors));
        Assert.Contains("Usage:", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("help", 0)]
    [InlineData("--help", 0)]
    [InlineData("-h", 0)]
    [InlineData("--version", 0)]
    [InlineData("frob", 2)]
    public void The_entry_script_helps_in_the_same_way(string verb, int expected)
    {
        using var process = Process.Start(
            new ProcessStartInfo(Path.Combine(Root(), "webvm"), [verb]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = process.StandardOutput.ReadToEnd();
        string errors = process.StandardError.ReadToEnd();
        Assert.True(process.WaitForExit(s_limit));
        Assert.Equal(expected, process.ExitCode);
        Assert.StartsWith(expected != 0 ? "" : verb == "--version" ? "webvm " : "usage: ./webvm VERB", output, StringComparison.Ordinal);
        Assert.Equal(expected != 0, errors.Contains("unknown verb 'frob'", StringComparison.Ordinal));
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder!.FullName, "webvm")) || !Directory.Exists(Path.Combine(folder.FullName, "scripts")))
        {
            folder = folder.Parent;
        }

        return folder.FullName;
    }

    [Fact]
    public void Serial_output_goes_to_a_file_and_SIGTERM_ends_a_machine_that_spins()
    {
        string log = Path.Combine(_folder, "serial.log");
        string kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder);
        using var process = Start(
            "run", "--engine", "soft", "--memory", "16M", "--kernel", kernel, "--serial", $"file:{log}", "--control",
            Path.Combine(_folder, "control"));
        for (long start = Stopwatch.GetTimestamp(); !IsRunning(Path.Combine(_folder, "control"));)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < s_limit && !process.HasExited, "The machine does not run.");
        }

        Assert.True(File.Exists(log));

        using var kill = Process.Start("kill", ["-TERM", $"{process.Id}"]);
        Assert.True(process.WaitForExit(s_limit));
        Assert.Equal(128 + 15, process.ExitCode);
        Assert.False(File.Exists(Path.Combine(_folder, "control")));
    }

    [Fact]
    public async Task Signals_that_come_after_the_guests_end_do_not_change_it()
    {
        string kernel = MultibootSample.Assemble(MultibootSample.Talk, _folder);
        string socket = Path.Combine(_folder, "control");
        string vmm = Monitors.Installed;
        using var process = Process.Start(vmm, ["serve", "--engine", "soft", "--memory", "16M", "--kernel", kernel, "--control", socket]);
        using var slow = await ConnectAsync(socket);
        using var told = new SemaphoreSlim(0);
        // Whoever does not take what was said to the last is waited for, for a second: the signals come in it.
        slow.Event += (name, _) =>
        {
            if (name == ControlEvents.SerialOutput)
            {
                Thread.Sleep(2000);
            }
        };
        slow.Start();
        await slow.SubscribeSerialAsync(0);
        using var quick = await ConnectAsync(socket);
        quick.Event += (name, _) =>
        {
            if (name == ControlEvents.Exited)
            {
                told.Release();
            }
        };
        quick.Start();
        await quick.WriteSerialAsync([1]);
        Assert.True(await told.WaitAsync(s_limit, TestContext.Current.CancellationToken));
        while (!process.HasExited)
        {
            using var kill = Process.Start(new ProcessStartInfo("kill", ["-TERM", $"{process.Id}"]) { RedirectStandardError = true })!;
            await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        Assert.Equal((0x15 << 1) | 1, process.ExitCode);
    }

    /// <summary>Whether a machine says so. It may not be served yet.</summary>
    private static bool IsRunning(string socket)
    {
        var (code, output, _) = Run("ctl", socket, "status");
        if (code != 0)
        {
            return false;
        }

        using var status = JsonDocument.Parse(output);
        return status.RootElement.GetProperty("state").GetString() == "running";
    }

    private static async Task<ControlClient> ConnectAsync(string socket)
    {
        for (long start = Stopwatch.GetTimestamp(); ; await Task.Delay(5))
        {
            try
            {
                return await ControlClient.ConnectAsync(socket);
            }
            catch (IOException) when (Stopwatch.GetElapsedTime(start) < s_limit)
            {
                // Not served yet.
            }
        }
    }

    [Fact]
    public void The_probe_names_an_engine_and_why()
    {
        var (code, output, _) = Run("probe", "--json");
        Assert.Equal(0, code);
        using var probe = JsonDocument.Parse(output);
        Assert.Contains(probe.RootElement.GetProperty("engine").GetString(), (string[])["kvm", "soft"]);
        Assert.NotEmpty(probe.RootElement.GetProperty("reason").GetString()!);
    }

    [Fact]
    public void A_terminal_is_raw_while_the_guest_runs_and_as_before_afterwards()
    {
        string kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder);
        string vmm = Monitors.Installed;
        // script(1) gives the monitor a terminal; Ctrl-A X goes through it, and stty looks at it before, meanwhile (until it is another)
        // and after.
        const string patience = "n=$((n+1)); [ $n -lt 1200 ] || break; sleep 0.1";
        string inside =
            $"stty -g > before; (n=0; while stty -g < /dev/tty > seen; cmp -s before seen; do {patience}; done; mv seen meanwhile) & "
            + $"'{vmm}' run --engine soft --memory 16M --kernel '{kernel}'; echo code $? > code; stty -g > after";
        // Ctrl-A X ends it, and not the end of what is typed: that comes only afterwards.
        string keys =
            $"n=0; until [ -e meanwhile ]; do {patience}; done; printf '\\001x'; n=0; until [ -e after ]; do {patience}; done; [ -e after ] || touch unheard";
        File.WriteAllText(Path.Combine(_folder, "inside.sh"), inside);
        using var process = Process.Start(new ProcessStartInfo("sh", ["-c", $"({keys}) | script -qec \"sh inside.sh\" /dev/null"])
        {
            WorkingDirectory = _folder, RedirectStandardOutput = true, RedirectStandardInput = true,
        })!;
        process.StandardInput.Close();
        Assert.True(process.WaitForExit(s_limit));
        string Read(string name) => File.ReadAllText(Path.Combine(_folder, name)).Trim();
        Assert.False(File.Exists(Path.Combine(_folder, "unheard")), "Ctrl-A X was not heard.");
        Assert.Equal("code 0", Read("code"));
        Assert.Equal(Read("before"), Read("after"));
        Assert.NotEmpty(Read("meanwhile"));
        Assert.NotEqual(Read("before"), Read("meanwhile"));
    }

    private static (int Code, string Output, string Errors) Run(params string[] arguments)
    {
        using var process = Start(arguments);
        var errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        if (!process.WaitForExit(s_limit))
        {
            process.Kill();
            Assert.Fail($"webvm-vmm {string.Join(' ', arguments)} did not end. {output}");
        }

        return (process.ExitCode, output, errors.Result);
    }

    private static Process Start(params string[] arguments)
    {
        var process = Process.Start(new ProcessStartInfo(Monitors.Installed, arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        process.StandardInput.Close();
        return process;
    }
}
