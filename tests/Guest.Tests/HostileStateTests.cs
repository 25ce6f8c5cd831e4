using System.Diagnostics;
using System.Text;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>
/// A state's folder may come from anybody: whatever lies in it, the monitor says what is wrong and neither hangs nor dies.
/// </summary>
public sealed class HostileStateTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-hostile-state").FullName;

    private string Saved => Path.Combine(_folder, "state");

    private string Description => Path.Combine(Saved, "machine.json");

    private string Memory => Path.Combine(Saved, "ram0.memory");

    public async ValueTask InitializeAsync()
    {
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Cpus = 2,
            Memory = 16UL << 20,
            Display = new DisplaySpec(640, 480),
            Boot = new BootSpec { Kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder) },
        });
        await StateSaver.Save(guest.Machine, Saved);
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    [Fact]
    public Task A_FIFO_in_place_of_a_memory_file_is_refused_at_once() =>
        IsRefused("not a regular file", () => Replace(Memory, $"mkfifo {Memory}"));

    [Fact]
    public Task A_FIFO_in_place_of_the_description_is_refused_at_once() =>
        IsRefused("not a regular file", () => Replace(Description, $"mkfifo {Description}"));

    [Fact]
    public Task A_link_in_place_of_a_memory_file_is_not_followed() =>
        IsRefused(
            "symbolic link", () => Replace(Memory, $"mv {Memory} {_folder}/elsewhere && ln -s {_folder}/elsewhere {Memory}", keep: true));

    [Fact]
    public Task A_link_in_place_of_the_description_is_not_followed() =>
        IsRefused("symbolic link", () => Replace(Description, $"ln -s /etc/passwd {Description}"));

    [Fact]
    public Task A_folder_in_place_of_a_memory_file_is_refused() => IsRefused("ram0.memory", () => Replace(Memory, $"mkdir {Memory}"));

    [Fact]
    public Task A_description_without_end_is_refused_before_it_is_read() =>
        IsRefused("more than", () => Replace(Description, $"truncate -s 1T {Description}"));

    [Fact]
    public Task Invalid_UTF8_in_a_register_is_refused() => IsRefused("not UTF-8", () =>
    {
        byte[] json = File.ReadAllBytes(Description);
        json[json.AsSpan().IndexOf("\"0x"u8) + 3] = 0xff;
        File.WriteAllBytes(Description, json);
    });

    [Fact]
    public Task Half_a_surrogate_pair_in_a_register_is_refused() => IsRefused("not sound JSON", () =>
        File.WriteAllText(
            Description, File.ReadAllText(Description).Replace("\"rip\":\"0x", "\"rip\":\"\\ud800", StringComparison.Ordinal)));

    [Fact]
    public Task A_register_given_twice_is_refused() => IsRefused("not sound JSON", () =>
        File.WriteAllText(
            Description, File.ReadAllText(Description).Replace("\"rip\":", "\"rip\":\"0x0\",\"rip\":", StringComparison.Ordinal)));

    [Fact]
    public Task A_list_with_nothing_in_it_is_refused() => IsRefused("nothing in the place of an element", () =>
        File.WriteAllText(
            Description, File.ReadAllText(Description).Replace("\"regions\":[", "\"regions\":[null,", StringComparison.Ordinal)));

    [Fact]
    public Task Mutated_bytes_are_refused_or_run() => Fuzz(250);

    [Fact(Explicit = true)]
    public Task Mutated_bytes_are_refused_or_run_for_long() => Fuzz(10_000);

    private async Task Fuzz(int rounds)
    {
        int seed = Environment.TickCount;
        var random = new Random(seed);
        byte[] sound = await File.ReadAllBytesAsync(Description, TestContext.Current.CancellationToken);
        (int refused, int taken) = (0, 0);
        for (int round = 0; round < rounds; round++)
        {
            await File.WriteAllBytesAsync(Description, Mutated(sound, random), TestContext.Current.CancellationToken);
            try
            {
                using var machine = await StateRestorer.Restore(Saved, EngineChoice.Soft);
                await machine.Resume();
                taken++;
            }
            catch (InvalidDataException expected)
            {
                Assert.NotEmpty(expected.Message);
                refused++;
            }
            catch (Exception other)
            {
                await File.WriteAllBytesAsync(
                    "/tmp/webvm-hostile-state.json", await File.ReadAllBytesAsync(Description, TestContext.Current.CancellationToken),
                    TestContext.Current.CancellationToken);
                Assert.Fail($"seed {seed}, round {round} (/tmp/webvm-hostile-state.json): {other}");
            }
        }

        Assert.True(refused > rounds / 10 && taken > rounds / 25, $"seed {seed}: {refused} refused and {taken} taken is no variety");
    }

    /// <summary>
    /// One to three changes, of the kinds that a broken disk and a clever person make; in half of the cases another digit alone, which only
    /// a value's own bounds can tell.
    /// </summary>
    private static byte[] Mutated(byte[] sound, Random random)
    {
        var bytes = new List<byte>(sound);
        if (random.Next(2) == 0)
        {
            bytes[Digit()] = (byte)random.Next('0', '9' + 1);
            return [.. bytes];
        }

        for (int changes = random.Next(1, 4); changes > 0; changes--)
        {
            int at = random.Next(bytes.Count);
            switch (random.Next(7))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                case 3:
                    bytes.RemoveAt(at);
                    break;
                case 4:
                    bytes.RemoveRange(at, Math.Min(bytes.Count - at, random.Next(4096)));
                    break;
                case 5:
                    bytes.InsertRange(at, bytes.GetRange(random.Next(bytes.Count / 2), random.Next(64)));
                    break;
                default:
                    bytes.InsertRange(Digit(), Encoding.ASCII.GetBytes("99999999999999999999"));
                    break;
            }
        }

        return [.. bytes];

        int Digit()
        {
            int at = random.Next(bytes.Count);
            while (!char.IsAsciiHexDigitLower((char)bytes[at]))
            {
                at = (at + 1) % bytes.Count;
            }

            return at;
        }
    }

    private async Task IsRefused(string because, Action damage)
    {
        damage();
        var refused = await Assert.ThrowsAsync<InvalidDataException>(() => StateRestorer.Restore(Saved, EngineChoice.Soft));
        Assert.Contains(because, refused.Message, StringComparison.Ordinal);
        Assert.Contains(Saved, refused.Message, StringComparison.Ordinal);
    }

    private static void Replace(string path, string command, bool keep = false)
    {
        if (!keep)
        {
            File.Delete(path);
        }

        using var shell = Process.Start("sh", ["-c", command]);
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
    }
}
