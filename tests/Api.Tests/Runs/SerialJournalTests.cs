using System.Text;
using WebVm.Api.Runs;
using Xunit;

namespace WebVm.Api.Tests.Runs;

public sealed class SerialJournalTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-journal-").FullName;

    [Fact]
    public void Offsets_go_on_over_runs_and_restarts()
    {
        using (var journal = new SerialJournal(_folder))
        {
            Assert.Equal(0, journal.Resume("one"));
            journal.Append("one", 0, "hello "u8);
        }

        using (var journal = new SerialJournal(_folder))
        {
            // The same run, attached to again by a new service: it asks for what it has not.
            Assert.Equal(6, journal.Resume("one"));
            journal.Append("one", 6, "world"u8);
            Assert.Equal(0, journal.Resume("two"));
            journal.Append("two", 0, "!"u8);
            Assert.Equal("hello world!", Text(journal));
        }
    }

    [Theory]
    [InlineData(long.MinValue)]
    [InlineData(-1)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MaxValue - 3)]
    public void What_is_no_offset_is_passed_over(long offset)
    {
        using var journal = new SerialJournal(_folder);
        journal.Resume("one");
        journal.Append("one", 0, "hello "u8);
        journal.Append("one", offset, "lies"u8);
        // As far as it goes: a hole, and what comes behind it.
        journal.Append("one", 1L << 60, "far "u8);
        journal.Append("one", offset, "lies"u8);
        journal.Append("one", (1L << 60) + 4, "world"u8);
        Assert.StartsWith("hello far ", Text(journal), StringComparison.Ordinal);
        Assert.Equal(0, journal.Resume("two"));
        journal.Append("two", 0, "!"u8);
        Assert.EndsWith("!", Text(journal), StringComparison.Ordinal);
    }

    [Fact]
    public void A_full_disk_costs_output_and_nothing_else()
    {
        using var disk = SmallDisk.Mount(1);
        using var journal = new SerialJournal(Path.Combine(disk.Path, "vm"));
        journal.Resume("one");
        journal.Append("one", 0, "before "u8);
        disk.Fill(0);
        byte[] lost = new byte[100_000];
        journal.Append("one", 7, lost);
        journal.Resume("two");
        disk.Empty();
        journal.Append("two", 0, "after"u8);
        string text = Text(journal);
        Assert.StartsWith("before ", text, StringComparison.Ordinal);
        Assert.EndsWith("after", text, StringComparison.Ordinal);
        journal.Dispose();
        using var again = new SerialJournal(Path.Combine(disk.Path, "vm"));
        Assert.Equal(5, again.Resume("two"));
    }

    [Fact]
    public void What_arrives_twice_is_kept_once()
    {
        using var journal = new SerialJournal(_folder);
        journal.Resume("one");
        journal.Append("one", 0, "abcdef"u8);
        journal.Append("one", 3, "defgh"u8);
        Assert.Equal("abcdefgh", Text(journal));
    }

    [Fact]
    public void Output_of_an_earlier_run_that_comes_late_is_not_mixed_in()
    {
        using var journal = new SerialJournal(_folder);
        journal.Resume("one");
        journal.Resume("two");
        journal.Append("one", 0, "late"u8);
        Assert.Equal("", Text(journal));
    }

    [Fact]
    public void The_oldest_goes_when_the_log_is_full()
    {
        using var journal = new SerialJournal(_folder);
        journal.Resume("one");
        byte[] chunk = new byte[1 << 20];
        for (int i = 0; i < 18; i++)
        {
            chunk.AsSpan().Fill((byte)i);
            journal.Append("one", (long)i << 20, chunk);
        }

        Assert.Equal(18L << 20, journal.End);
        Assert.True(journal.First > 0);
        Assert.True(journal.End - journal.First <= SerialJournal.Capacity);
        long offset = 0;
        byte[] one = new byte[1];
        Assert.Equal(1, journal.Read(ref offset, one));
        Assert.Equal(journal.First, offset);
        Assert.Equal((byte)(offset >> 20), one[0]);
        Assert.Equal(18L << 20, journal.Resume("one"));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string Text(SerialJournal journal)
    {
        long offset = 0;
        byte[] buffer = new byte[1024];
        return Encoding.UTF8.GetString(buffer, 0, journal.Read(ref offset, buffer));
    }
}
