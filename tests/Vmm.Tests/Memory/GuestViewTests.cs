using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Memory;

public sealed class GuestViewTests : IDisposable
{
    private const ulong Page = 4096;
    private const int Pages = 3 * 512;

    /// <summary>The window under test begins in the middle of a chunk of 2 MiB.</summary>
    private const ulong Start = (1UL << 32) + (256 * Page);

    private readonly GuestView _view = new();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Whatever_is_set_in_whatever_order_is_found(int seed)
    {
        var random = new Random(seed);
        var model = new Backing[Pages];
        for (int round = 0; round < 2_000; round++)
        {
            int first = random.Next(Pages);
            int count = Math.Min(Pages - first, random.Next(8) == 0 ? random.Next(Pages) : random.Next(1, 700));
            var kind = (BackingKind)random.Next(4);
            var system = new SystemPhysicalAddress((ulong)random.Next(1, 1 << 20) * Page);
            _view.Set(At(first), (ulong)count * Page, kind, system);
            for (int i = 0; i < count; i++)
            {
                model[first + i] = kind == BackingKind.Bus ? default : new(kind, system + ((ulong)i * Page));
            }

            if (round % 20 == 0)
            {
                Compare(model, random);
            }
        }

        _view.Set(At(0), Pages * Page, BackingKind.Bus, default);
        Compare(new Backing[Pages], random);
    }

    [Fact]
    public void A_range_is_found_as_far_as_it_is_of_one_piece()
    {
        _view.Set(At(0), 700 * Page, BackingKind.Memory, new(Page));
        _view.Set(At(700), 10 * Page, BackingKind.Memory, new(701 * Page));
        _view.Set(At(710), Page, BackingKind.ReadOnly, new(711 * Page));
        Assert.Equal(BackingKind.Memory, _view.Find(At(0) + 8, ulong.MaxValue, out ulong run).Kind);
        Assert.Equal((710 * Page) - 8, run);
        Assert.Equal(new SystemPhysicalAddress(2 * Page), _view.Find(At(1), 12, out run).Address);
        Assert.Equal(12UL, run);
        Assert.Equal(BackingKind.Bus, _view.Find(At(800), Page, out run).Kind);
        Assert.Equal(Page, run);
    }

    [Fact]
    public void Nothing_lies_beyond_the_address_space()
    {
        _view.Set(new(GuestMemory.AddressSpaceSize - Page), Page, BackingKind.Memory, new(Page));
        Assert.Equal(BackingKind.Memory, _view.Find(new(GuestMemory.AddressSpaceSize - 1)).Kind);
        Assert.Equal(BackingKind.Bus, _view.Find(new(GuestMemory.AddressSpaceSize)).Kind);
        Assert.Equal(BackingKind.Bus, _view.Find(new(ulong.MaxValue)).Kind);
        _view.Find(new(GuestMemory.AddressSpaceSize - 8), 16, out ulong run);
        Assert.Equal(8UL, run);
    }

    public void Dispose() => _view.Dispose();

    private static GuestPhysicalAddress At(int page) => new(Start + ((ulong)page * Page));

    private void Compare(Backing[] model, Random random)
    {
        for (int page = 0; page < Pages; page++)
        {
            ulong offset = (ulong)random.Next(4096);
            var found = _view.Find(At(page) + offset);
            Assert.Equal(model[page].Kind, found.Kind);
            if (found.Kind != BackingKind.Bus)
            {
                Assert.Equal(model[page].Address + offset, found.Address);
            }
        }
    }
}
