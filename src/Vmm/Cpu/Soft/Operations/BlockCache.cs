using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Host;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Operations;

/// <summary>
/// One vCPU's decoded blocks: an arena that is emptied as a whole when it is full, a hash table by system-physical address and mode, and
/// the jump cache by program counter.
/// </summary>
internal sealed unsafe class BlockCache : IDisposable
{
    private const int BucketCount = 1 << 15;

    private readonly AddressReservation _arena;
    private readonly nuint _arenaSize;
    private readonly Block** _buckets;
    private readonly JumpCacheEntry* _jumps;
    private readonly CpuContext* _cpu;
    private nuint _used;

    public BlockCache(CpuContext* cpu, nuint arenaSize = 64 << 20)
    {
        _cpu = cpu;
        _arenaSize = arenaSize;
        _arena = AddressReservation.Zeroed(arenaSize);
        _buckets = (Block**)NativeMemory.AllocZeroed(BucketCount, (nuint)sizeof(Block*));
        _jumps = (JumpCacheEntry*)NativeMemory.AllocZeroed(JumpCacheEntry.Count, (nuint)sizeof(JumpCacheEntry));
    }

    public JumpCacheEntry* Jumps => _jumps;

    /// <summary>Bytes of the arena that are taken.</summary>
    public nuint Used => _used;

    /// <summary>Finds the block for an address, valid or not.</summary>
    public Block* Find(SystemPhysicalAddress physical, uint mode)
    {
        for (var block = _buckets[Hash(physical, mode)]; block != null; block = block->Next)
        {
            if (block->Physical == physical && block->Mode == mode)
            {
                return block;
            }
        }

        return null;
    }

    /// <summary>Room for a block of so many operations, not yet in the table. May empty the cache.</summary>
    public Block* Reserve(int operations, int bytes)
    {
        nuint size = Size(operations, bytes);
        if (_used + size > _arenaSize)
        {
            Clear();
        }

        return (Block*)(_arena.Base + _used);
    }

    /// <summary>Keeps the block that was built in the reserved room, replacing one for the same address.</summary>
    public void Commit(Block* block, int operations, int bytes)
    {
        _used += Size(operations, bytes);
        Block** link = &_buckets[Hash(block->Physical, block->Mode)];
        for (var other = link; *other != null; other = &(*other)->Next)
        {
            if ((*other)->Physical == block->Physical && (*other)->Mode == block->Mode)
            {
                *other = (*other)->Next;
                break;
            }
        }

        block->Next = *link;
        *link = block;
    }

    public void Clear()
    {
        _used = 0;
        _cpu->BlockGeneration++;
        NativeMemory.Clear(_buckets, BucketCount * (nuint)sizeof(Block*));
        NativeMemory.Clear(_jumps, JumpCacheEntry.Count * (nuint)sizeof(JumpCacheEntry));
    }

    /// <summary>Empties the cache and gives its memory back to the host, until there are blocks again.</summary>
    public void Release()
    {
        Clear();
        _arena.Discard();
    }

    public void Dispose()
    {
        _arena.Dispose();
        NativeMemory.Free(_buckets);
        NativeMemory.Free(_jumps);
    }

    private static nuint Size(int operations, int bytes) =>
        (nuint)(sizeof(Block) + (operations * sizeof(Operation)) + sizeof(BlockLinks) + bytes + 63) & ~(nuint)63;

    private static uint Hash(SystemPhysicalAddress physical, uint mode) =>
        (uint)(((physical.Value ^ ((ulong)mode << 40)) * 0x9e37_79b9_7f4a_7c15) >> 49);
}
