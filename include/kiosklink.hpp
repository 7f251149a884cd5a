// kiosklink for C++11 and later: handles that free themselves, lists for range-for, exceptions only if you want them.
//
// Header-only, over kiosklink.h, which says what every call does, what its structs hold and in which units; the names
// here are those there without kl_. docs/cpp.md is the five-minute start.
//
// What all of it keeps:
//  1. Handles and results are move-only and free themselves. An empty one (moved from, default-made, or what a failed
//     call returned) is safe to use: calls answer KL_E_NULL, lists have no items, view() is nullptr.
//  2. Every call that can fail comes twice. With `Error &err` as its last argument it is noexcept, writes err (on
//     success too), and returns an empty result if it failed. Without, it throws the same Error; those overloads exist
//     only where exceptions are on (KIOSKLINK_EXCEPTIONS is 1).
//  3. What is read from a result (structs, const char *) is borrowed: it ends with the result, or with the next step of
//     a walk. Borrowing from a temporary does not compile.
//  4. Nothing here allocates, but for a job's callable; no RTTI is needed; texts that you pass are copied during the call.
//  5. A Client may be used by any number of threads at once, all of its calls are const; everything else belongs to one
//     thread at a time. Moving, resetting and destroying a Client is not a call: let no other thread use it then.
//  6. Durations are milliseconds, points in time Unix seconds, money fen, text UTF-8.
//  7. Everything is in an inline namespace of this header's version, and of whether calls may throw: kiosklink::Client is
//     kiosklink::v0_2::Client, or kiosklink::v0_2_nothrow::Client. Parts of a program that were compiled otherwise keep their own
//     classes; what they hand to each other as a class of these does not link, where it would have been read wrongly. Structs of C
//     that grow at their end are held by value where their size is this header's and told to the library (Error, request structs).
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef KIOSKLINK_HPP
#define KIOSKLINK_HPP

#if !defined(__cplusplus) || (__cplusplus < 201103L && !(defined(_MSVC_LANG) && _MSVC_LANG >= 201103L))
#error "kiosklink.hpp needs C++11 or later"
#endif

#include "kiosklink.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <type_traits>
#include <utility>

/// 1 where calls without an `Error &` throw, 0 where they do not exist. Found out from the compiler's flags; define it
/// to 0 before the include to do without in a program that has exceptions.
#ifndef KIOSKLINK_EXCEPTIONS
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define KIOSKLINK_EXCEPTIONS 1
#else
#define KIOSKLINK_EXCEPTIONS 0
#endif
#endif

#if KIOSKLINK_EXCEPTIONS && defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

// A program and its plug-ins agree on the type that is thrown, even if they hide their own symbols.
#if defined(__GNUC__)
#define KIOSKLINK_PUBLIC_TYPE __attribute__((visibility("default")))
#else
#define KIOSKLINK_PUBLIC_TYPE
#endif

// The version in the name is the header's: what is compiled into a program has its layout and its inline functions.
#if KIOSKLINK_EXCEPTIONS
#define KIOSKLINK_INLINE_NAMESPACE v0_2
#else
#define KIOSKLINK_INLINE_NAMESPACE v0_2_nothrow
#endif

namespace kiosklink {
inline namespace KIOSKLINK_INLINE_NAMESPACE {

namespace detail {

// A copy of a struct of C's, of which the caller may have less than this header: struct_size says how much, 0 that it is as long
// as in the first release.
template <typename T> inline T copied(const T &from, T to, std::size_t first) noexcept {
  std::size_t theirs = from.struct_size == 0 ? first : from.struct_size;
  if (theirs > sizeof(T)) theirs = sizeof(T);
  std::memcpy(&to, &from, theirs);
  to.struct_size = static_cast<std::uint32_t>(sizeof(T));
  return to;
}

}  // namespace detail

/// Why a call failed: a kl_error that can be thrown, held by value; copying never throws. The calls that
/// take an Error write it whole, on success too, so look at it before the next call.
class KIOSKLINK_PUBLIC_TYPE Error : public std::exception {
 public:
  /// No error.
  Error() noexcept : raw_ KL_ERROR_INIT {}
  /// A copy of a C error.
  explicit Error(const kl_error &raw) noexcept
      : raw_(detail::copied(raw, kl_error KL_ERROR_INIT, offsetof(kl_error, message) + sizeof raw.message)) {}

  /// Whether the call failed.
  explicit operator bool() const noexcept { return raw_.status != KL_OK; }
  /// What the call returned: KL_OK or KL_E_*.
  kl_status status() const noexcept { return raw_.status; }
  /// The name of the status, "KL_E_TIMEOUT_DNS". Static.
  const char *name() const noexcept { return kl_status_name(raw_.status); }
  /// What became of an act: KL_DONE, KL_NOT_DONE or KL_UNKNOWN; 0 for a call that only reads.
  kl_outcome outcome() const noexcept { return raw_.outcome; }
  /// What to do about it: KL_ADVICE_*.
  kl_advice advice() const noexcept { return raw_.advice; }
  /// The HTTP status of the answer, 0 if there was none.
  std::int32_t http_status() const noexcept { return raw_.http_status; }
  /// The platform's own code, 0 if it gave none.
  std::int32_t platform_code() const noexcept { return raw_.platform_code; }
  /// The system's errno, 0 if the system was not the reason.
  std::int32_t os_errno() const noexcept { return raw_.os_errno; }
  /// How long to wait before the next try, in milliseconds; 0 if it is not known.
  std::uint32_t retry_after_ms() const noexcept { return raw_.retry_after_ms; }
  /// The platform's own name or code of the refusal, whole, empty if it gave none. Lives as long as this object.
  const char *platform_name() const noexcept { return raw_.platform_name; }
  /// The platform's own words, empty if it gave none. Lives as long as this object.
  const char *platform_message() const noexcept { return raw_.platform_message; }
  /// One sentence for a log or a technician, without a secret. Lives as long as this object.
  const char *message() const noexcept { return raw_.message; }
  /// The same, or the name of the status if there is no sentence. Lives as long as this object.
  const char *what() const noexcept override { return raw_.message[0] != '\0' ? raw_.message : name(); }
  /// The C struct, for calls of kiosklink.h.
  kl_error *raw() noexcept { return &raw_; }
  /// The C struct.
  const kl_error *raw() const noexcept { return &raw_; }

 private:
  kl_error raw_;
};

// ---------------------------------------------------------------------------------------------------------------------
// What the classes below are made of. Their members are yours to use; the templates' names and parameters are not.

namespace detail {

// What a call returned stands in its error too.
inline void seen(std::int32_t) noexcept {}

#if KIOSKLINK_EXCEPTIONS
// The bridge from one form of a call to the other.
template <typename T> inline T unless(const Error &err, T value) {
  if (err) throw Error(err);
  return value;
}
#endif

// Owns one handle of the C interface.
template <typename T, void (*Free)(T *)> class Handle {
 public:
  Handle(const Handle &) = delete;
  Handle &operator=(const Handle &) = delete;

  /// Whether there is something in it.
  explicit operator bool() const noexcept { return handle_ != nullptr; }
  /// The C handle, for calls of kiosklink.h; nullptr if this is empty. Stays this object's: never free it.
  T *get() const noexcept { return handle_; }
  /// Gives the C handle away: from now on it is yours to free. nullptr if this is empty.
  T *release() noexcept {
    T *handle = handle_;
    handle_ = nullptr;
    return handle;
  }
  /// Frees what it holds and takes over another C handle, or nothing.
  void reset(T *handle = nullptr) noexcept {
    T *old = handle_;
    handle_ = handle;
    if (old != handle) Free(old);
  }

 protected:
  Handle() noexcept : handle_(nullptr) {}
  explicit Handle(T *handle) noexcept : handle_(handle) {}
  Handle(Handle &&other) noexcept : handle_(other.release()) {}
  Handle &operator=(Handle &&other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Handle() { Free(handle_); }

 private:
  T *handle_;
};

// A result that is one record.
template <typename T, typename Info, void (*Free)(T *), const Info *(*View)(const T *)>
class Record : public Handle<T, Free> {
 public:
  /// What is known. Borrowed: it ends with this object. nullptr if this is empty.
  const Info *view() const & noexcept { return View(this->get()); }
  const Info *view() const && = delete;
  /// A field of it: `result->json`. Only if this is not empty. Borrowed like view().
  const Info *operator->() const & noexcept { return View(this->get()); }
  const Info *operator->() const && = delete;

 protected:
  using Handle<T, Free>::Handle;
  Record() noexcept {}
  Record(Record &&) noexcept = default;
  Record &operator=(Record &&) noexcept = default;
  ~Record() = default;
};

// A result that is a list.
template <typename T, typename Item, void (*Free)(T *), std::size_t (*Count)(const T *),
          const Item *(*At)(const T *, std::size_t)>
class List : public Handle<T, Free> {
 public:
  /// What the list holds.
  typedef Item value_type;

  /// Steps through the list; lives as long as the list does.
  class const_iterator {
   public:
    typedef std::forward_iterator_tag iterator_category;
    typedef Item value_type;
    typedef std::ptrdiff_t difference_type;
    typedef const Item *pointer;
    typedef const Item &reference;

    const_iterator() noexcept : list_(nullptr), index_(0) {}
    const_iterator(const T *list, std::size_t index) noexcept : list_(list), index_(index) {}
    reference operator*() const noexcept { return *At(list_, index_); }
    pointer operator->() const noexcept { return At(list_, index_); }
    const_iterator &operator++() noexcept {
      ++index_;
      return *this;
    }
    const_iterator operator++(int) noexcept {
      const_iterator before = *this;
      ++index_;
      return before;
    }
    bool operator==(const const_iterator &other) const noexcept {
      return index_ == other.index_ && list_ == other.list_;
    }
    bool operator!=(const const_iterator &other) const noexcept { return !(*this == other); }

   private:
    const T *list_;
    std::size_t index_;
  };

  /// How many items it holds; 0 if this is empty.
  std::size_t size() const noexcept { return Count(this->get()); }
  /// Whether it holds none.
  bool empty() const noexcept { return size() == 0; }
  /// An item, nullptr behind the end. Borrowed: it ends with this object.
  const Item *at(std::size_t index) const & noexcept { return At(this->get(), index); }
  const Item *at(std::size_t index) const && = delete;
  /// An item; index must be less than size(). Borrowed: it ends with this object.
  const Item &operator[](std::size_t index) const & noexcept { return *At(this->get(), index); }
  const Item &operator[](std::size_t index) const && = delete;
  /// For range-for and algorithms. The items are borrowed: they end with this object.
  const_iterator begin() const & noexcept { return const_iterator(this->get(), 0); }
  const_iterator begin() const && = delete;
  /// Behind the last item.
  const_iterator end() const & noexcept { return const_iterator(this->get(), size()); }
  const_iterator end() const && = delete;

 protected:
  using Handle<T, Free>::Handle;
  List() noexcept {}
  List(List &&) noexcept = default;
  List &operator=(List &&) noexcept = default;
  ~List() = default;
};

// A list that the platform gives out in pages.
template <typename T, typename Item, void (*Free)(T *), std::size_t (*Count)(const T *),
          const Item *(*At)(const T *, std::size_t), std::int64_t (*Total)(const T *), std::int32_t (*More)(const T *)>
class PagedList : public List<T, Item, Free, Count, At> {
 public:
  /// How many there are in all; -1 if the platform does not say.
  std::int64_t total() const noexcept { return Total(this->get()); }
  /// Whether more pages follow: 1, 0, or -1 if only asking for the next one can tell.
  std::int32_t more() const noexcept { return More(this->get()); }

 protected:
  using List<T, Item, Free, Count, At>::List;
  PagedList() noexcept {}
  PagedList(PagedList &&) noexcept = default;
  PagedList &operator=(PagedList &&) noexcept = default;
  ~PagedList() = default;
};

// A walk through all pages, one of them in memory.
template <typename T, typename Item, void (*Free)(T *), kl_status (*Next)(T *, const Item **, kl_error *)>
class Walk : public Handle<T, Free> {
 public:
  /// What it walks through.
  typedef Item value_type;

  /// The next item; nullptr after the last one and after an error, which err tells apart. After an error the same page
  /// is asked for again. Borrowed until the next step.
  const Item *next(Error &err) & noexcept {
    const Item *item = nullptr;
    detail::seen(Next(this->get(), &item, err.raw()));
    return item;
  }
  const Item *next(Error &err) && = delete;
#if KIOSKLINK_EXCEPTIONS
  /// The next item, or nullptr after the last one. Borrowed until the next step. Throws Error.
  const Item *next() & {
    Error err;
    return detail::unless(err, next(err));
  }
  const Item *next() && = delete;
#endif

  /// One step after the other, in one direction, once.
  class iterator {
   public:
    typedef std::input_iterator_tag iterator_category;
    typedef Item value_type;
    typedef std::ptrdiff_t difference_type;
    typedef const Item *pointer;
    typedef const Item &reference;

    iterator() noexcept : walk_(nullptr), err_(nullptr), item_(nullptr) {}
    iterator(T *walk, Error *err) : walk_(walk), err_(err), item_(nullptr) { ++*this; }
    reference operator*() const noexcept { return *item_; }
    pointer operator->() const noexcept { return item_; }
    iterator &operator++() {
#if KIOSKLINK_EXCEPTIONS
      if (err_ == nullptr) {
        Error err;
        item_ = nullptr;
        detail::seen(Next(walk_, &item_, err.raw()));
        if (err) throw Error(err);
        return *this;
      }
#endif
      item_ = nullptr;
      detail::seen(Next(walk_, &item_, err_->raw()));
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(const iterator &other) const noexcept { return item_ == other.item_; }
    bool operator!=(const iterator &other) const noexcept { return item_ != other.item_; }

   private:
    T *walk_;
    Error *err_;
    const Item *item_;
  };

  /// What each() returns. Lives no longer than the walk and the error.
  class Each {
   public:
    Each(T *walk, Error *err) noexcept : walk_(walk), err_(err) {}
    iterator begin() const noexcept { return iterator(walk_, err_); }
    iterator end() const noexcept { return iterator(); }

   private:
    T *walk_;
    Error *err_;
  };

  /// `for (const auto &item : walk.each(err)) …`, from where the walk is. An error ends the loop: look at err then.
  Each each(Error &err) & noexcept { return Each(this->get(), &err); }
  Each each(Error &err) && = delete;
#if KIOSKLINK_EXCEPTIONS
  /// `for (const auto &item : walk) …`, from where the walk is. Throws Error, as each step does.
  iterator begin() & { return iterator(this->get(), nullptr); }
  iterator begin() && = delete;
  /// Behind the last item.
  iterator end() & noexcept { return iterator(); }
  iterator end() && = delete;
#endif

 protected:
  using Handle<T, Free>::Handle;
  Walk() noexcept {}
  Walk(Walk &&) noexcept = default;
  Walk &operator=(Walk &&) noexcept = default;
  ~Walk() = default;
};

}  // namespace detail

// ---------------------------------------------------------------------------------------------------------------------
// Results. Each is made by a call of Client; made from a C handle (`Stock stock(handle)`) it takes it over.

/// Cabinets: a list of kl_cabinet.
class Cabinets : public detail::PagedList<kl_cabinets, kl_cabinet, kl_cabinets_free, kl_cabinets_count, kl_cabinets_at,
                                          kl_cabinets_total, kl_cabinets_more> {
 public:
  /// Empty.
  Cabinets() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Cabinets(kl_cabinets *handle) noexcept : PagedList(handle) {}
};

/// Goods of a cabinet: a list of kl_stock_item.
class Stock : public detail::PagedList<kl_stock, kl_stock_item, kl_stock_free, kl_stock_count, kl_stock_at,
                                       kl_stock_total, kl_stock_more> {
 public:
  /// Empty.
  Stock() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Stock(kl_stock *handle) noexcept : PagedList(handle) {}
};

/// Orders: a list of kl_order.
class Orders : public detail::PagedList<kl_orders, kl_order, kl_orders_free, kl_orders_count, kl_orders_at,
                                        kl_orders_total, kl_orders_more> {
 public:
  /// Empty.
  Orders() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Orders(kl_orders *handle) noexcept : PagedList(handle) {}
};

/// Pickup codes: a list of kl_pickup_code.
class Codes : public detail::List<kl_codes, kl_pickup_code, kl_codes_free, kl_codes_count, kl_codes_at> {
 public:
  /// Empty.
  Codes() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Codes(kl_codes *handle) noexcept : List(handle) {}
};

/// A command: a kl_command_info. door_open, code_redeem, command_wait and command_resolve give only one that is *done*,
/// command_get any: look at its outcome. Freeing it forgets nothing: the library remembers the command.
class Command : public detail::Record<kl_command, kl_command_info, kl_command_free, kl_command_view> {
 public:
  /// Empty.
  Command() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Command(kl_command *handle) noexcept : Record(handle) {}
};

/// Commands: a list of kl_command_info, oldest first.
class Commands
    : public detail::List<kl_commands, kl_command_info, kl_commands_free, kl_commands_count, kl_commands_at> {
 public:
  /// Empty.
  Commands() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Commands(kl_commands *handle) noexcept : List(handle) {}
};

/// Visits: a list of kl_visit, oldest first, each with pointers to its commands.
class Visits : public detail::List<kl_visits, kl_visit, kl_visits_free, kl_visits_count, kl_visits_at> {
 public:
  /// Empty.
  Visits() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Visits(kl_visits *handle) noexcept : List(handle) {}
};

/// What a platform answered, as JSON.
class Response : public detail::Handle<kl_response, kl_response_free> {
 public:
  /// Empty.
  Response() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Response(kl_response *handle) noexcept : Handle(handle) {}
  /// The platform's data, "null" if it sent none. Borrowed: it ends with this object. nullptr if this is empty.
  const char *json() const & noexcept { return kl_response_json(get()); }
  const char *json() const && = delete;
};

/// A callback, verified where the platform signs it: a kl_event_info and the answer to it.
class Event : public detail::Record<kl_event, kl_event_info, kl_event_free, kl_event_view> {
 public:
  /// Empty.
  Event() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Event(kl_event *handle) noexcept : Record(handle) {}
  /// The exact body that the platform expects as the answer, to be sent with HTTP 200 and Content-Type:
  /// application/json. Borrowed until set_reply or the end of this object. nullptr if this is empty.
  const char *reply() const & noexcept { return kl_event_reply(get()); }
  const char *reply() const && = delete;
  /// Changes the answer: code 0 means taken, any other asks the platform to come again. message and data_json (a JSON
  /// object) may be nullptr.
  kl_status set_reply(std::int32_t code, const char *message, const char *data_json, Error &err) noexcept {
    return kl_event_set_reply(get(), code, message, data_json, err.raw());
  }
#if KIOSKLINK_EXCEPTIONS
  /// The same. Throws Error.
  void set_reply(std::int32_t code, const char *message = nullptr, const char *data_json = nullptr) {
    Error err;
    detail::unless(err, set_reply(code, message, data_json, err));
  }
#endif
};

/// A person: a kl_user_info.
class User : public detail::Record<kl_user, kl_user_info, kl_user_free, kl_user_view> {
 public:
  /// Empty.
  User() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit User(kl_user *handle) noexcept : Record(handle) {}
};

/// A company: a kl_company_info.
class Company : public detail::Record<kl_company, kl_company_info, kl_company_free, kl_company_view> {
 public:
  /// Empty.
  Company() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Company(kl_company *handle) noexcept : Record(handle) {}
};

/// All cabinets of an account, page by page.
class CabinetIter : public detail::Walk<kl_cabinet_iter, kl_cabinet, kl_cabinet_iter_free, kl_cabinet_iter_next> {
 public:
  /// Empty.
  CabinetIter() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit CabinetIter(kl_cabinet_iter *handle) noexcept : Walk(handle) {}
};

/// All goods of a cabinet, page by page.
class StockIter : public detail::Walk<kl_stock_iter, kl_stock_item, kl_stock_iter_free, kl_stock_iter_next> {
 public:
  /// Empty.
  StockIter() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit StockIter(kl_stock_iter *handle) noexcept : Walk(handle) {}
};

/// All orders of a period, page by page.
class OrderIter : public detail::Walk<kl_order_iter, kl_order, kl_order_iter_free, kl_order_iter_next> {
 public:
  /// Empty.
  OrderIter() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit OrderIter(kl_order_iter *handle) noexcept : Walk(handle) {}
};

/// The lines of an order or an event, for range-for. Borrowed: they end with the result they were read from.
class Lines {
 public:
  /// Steps through the lines.
  class const_iterator {
   public:
    typedef std::forward_iterator_tag iterator_category;
    typedef kl_order_line value_type;
    typedef std::ptrdiff_t difference_type;
    typedef const kl_order_line *pointer;
    typedef const kl_order_line &reference;

    const_iterator() noexcept : at_(nullptr) {}
    explicit const_iterator(const kl_order_line *const *at) noexcept : at_(at) {}
    reference operator*() const noexcept { return **at_; }
    pointer operator->() const noexcept { return *at_; }
    const_iterator &operator++() noexcept {
      ++at_;
      return *this;
    }
    const_iterator operator++(int) noexcept { return const_iterator(at_++); }
    bool operator==(const const_iterator &other) const noexcept { return at_ == other.at_; }
    bool operator!=(const const_iterator &other) const noexcept { return at_ != other.at_; }

   private:
    const kl_order_line *const *at_;
  };

  Lines(const kl_order_line *const *lines, std::size_t count) noexcept : lines_(lines), count_(count) {}
  /// The first line.
  const_iterator begin() const noexcept { return const_iterator(lines_); }
  /// Behind the last one.
  const_iterator end() const noexcept { return const_iterator(lines_ + count_); }
  /// How many.
  std::size_t size() const noexcept { return count_; }
  /// Whether there are none.
  bool empty() const noexcept { return count_ == 0; }
  /// One of them; index must be less than size().
  const kl_order_line &operator[](std::size_t index) const noexcept { return *lines_[index]; }

 private:
  const kl_order_line *const *lines_;
  std::size_t count_;
};

/// The goods of an order.
inline Lines lines(const kl_order &order) noexcept { return Lines(order.lines, order.line_count); }
/// The goods of an order that went back.
inline Lines refunded_lines(const kl_order &order) noexcept {
  return Lines(order.refunded_lines, order.refunded_line_count);
}
/// The goods in a callback.
inline Lines lines(const kl_event_info &event) noexcept { return Lines(event.lines, event.line_count); }

// ---------------------------------------------------------------------------------------------------------------------
// A name for an act.

/// A request_id that Client::request_id_new made: nobody else's. Keep it before the first try. Copies are the same name.
class RequestId {
 public:
  /// Empty.
  RequestId() noexcept { text_[0] = '\0'; }
  /// The name, empty if none was made. Lives as long as this object.
  const char *c_str() const & noexcept { return text_; }
  const char *c_str() const && = delete;
  /// Whether there is one.
  explicit operator bool() const noexcept { return text_[0] != '\0'; }

 private:
  friend class Client;
  char text_[KL_REQUEST_ID_MAX + 1];
};

// ---------------------------------------------------------------------------------------------------------------------
// What you ask with: the C structs, begun right. Set the other fields by name, as in C. Calls take the C struct, so a
// `kl_door_request r = KL_DOOR_REQUEST_INIT;` does as well. Texts are copied by the call: let them live so long.

/// A kl_page.
struct Page : kl_page {
  /// The number counts from 1; size 0 is the most that the platform documents.
  explicit Page(std::uint32_t number_, std::uint32_t size_ = 0) noexcept : kl_page KL_PAGE_INIT {
    number = number_;
    size = size_;
  }
};

/// A kl_order_ref: kind KL_ORDER_KIND_CABINET, and the platform's number, which may be nullptr if trade_no is set.
struct OrderRef : kl_order_ref {
  explicit OrderRef(const char *order_no_) noexcept : kl_order_ref KL_ORDER_REF_INIT { order_no = order_no_; }
};

/// A kl_order_query: KL_ORDER_KIND_CABINET or KL_ORDER_KIND_VENDING, from and to in Unix seconds, both included.
struct OrderQuery : kl_order_query {
  OrderQuery(kl_order_kind kind_, std::int64_t from_, std::int64_t to_) noexcept : kl_order_query KL_ORDER_QUERY_INIT {
    kind = kind_;
    from = from_;
    to = to_;
  }
};

/// A kl_order_create_line: the platform's id of the goods, and how many.
struct OrderCreateLine : kl_order_create_line {
  OrderCreateLine(const char *product_id_, std::uint32_t quantity_) noexcept
      : kl_order_create_line KL_ORDER_CREATE_LINE_INIT {
    product_id = product_id_;
    quantity = quantity_;
  }
};

/// A kl_order_create_request. The lines are an array of yours with a pointer to each.
struct OrderCreateRequest : kl_order_create_request {
  OrderCreateRequest(const char *cabinet_id_, const char *trade_no_, const kl_order_create_line *const *lines_,
                     std::uint32_t line_count_) noexcept
      : kl_order_create_request KL_ORDER_CREATE_REQUEST_INIT {
    cabinet_id = cabinet_id_;
    trade_no = trade_no_;
    lines = lines_;
    line_count = line_count_;
  }
};

/// A kl_payment_report_request: KL_PAYMENT_RESULT_PAID or KL_PAYMENT_RESULT_FAILED, the amount in fen, negative to leave
/// it out.
struct PaymentReportRequest : kl_payment_report_request {
  PaymentReportRequest(const char *order_no_, kl_payment_result result_, std::int64_t amount_) noexcept
      : kl_payment_report_request KL_PAYMENT_REPORT_REQUEST_INIT {
    order_no = order_no_;
    result = result_;
    amount = amount_;
  }
};

/// A kl_claim_request: a refund or an appeal.
struct ClaimRequest : kl_claim_request {
  explicit ClaimRequest(const char *order_no_) noexcept : kl_claim_request KL_CLAIM_REQUEST_INIT {
    order_no = order_no_;
  }
};

/// A kl_code_query. Nothing is set yet.
struct CodeQuery : kl_code_query {
  CodeQuery() noexcept : kl_code_query KL_CODE_QUERY_INIT {}
};

/// A kl_code_create_request: one code for each of the cabinet's goods, unless product_id is set.
struct CodeCreateRequest : kl_code_create_request {
  explicit CodeCreateRequest(const char *cabinet_id_) noexcept : kl_code_create_request KL_CODE_CREATE_REQUEST_INIT {
    cabinet_id = cabinet_id_;
  }
};

/// A kl_code_cancel_request: one code of the cabinet by its id, or all of them if that is nullptr.
struct CodeCancelRequest : kl_code_cancel_request {
  CodeCancelRequest(const char *cabinet_id_, const char *id_) noexcept
      : kl_code_cancel_request KL_CODE_CANCEL_REQUEST_INIT {
    cabinet_id = cabinet_id_;
    id = id_;
  }
};

/// A kl_door_request. request_id is your name for this customer's action, made before the first try and kept.
struct DoorRequest : kl_door_request {
  DoorRequest(const char *request_id_, const char *cabinet_id_) noexcept : kl_door_request KL_DOOR_REQUEST_INIT {
    request_id = request_id_;
    cabinet_id = cabinet_id_;
  }
};

/// A kl_redeem_request. request_id is your name for this customer's action, made before the first try and kept.
struct RedeemRequest : kl_redeem_request {
  RedeemRequest(const char *request_id_, const char *code_) noexcept : kl_redeem_request KL_REDEEM_REQUEST_INIT {
    request_id = request_id_;
    code = code_;
  }
};

// ---------------------------------------------------------------------------------------------------------------------

/// The settings of one account. One thread at a time; clients made from it keep their own copy.
class Config : public detail::Handle<kl_config, kl_config_free> {
 public:
  /// Empty.
  Config() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Config(kl_config *handle) noexcept : Handle(handle) {}
  /// Starts the settings of an account on a platform, KL_PLATFORM_*. Empty if that failed.
  Config(const char *platform, Error &err) noexcept {
    kl_config *out = nullptr;
    detail::seen(kl_config_new(platform, &out, err.raw()));
    reset(out);
  }
  /// Reads the settings of an account from a JSON file; account may be nullptr if the file holds one.
  static Config load(const char *json_path, const char *account, Error &err) noexcept {
    kl_config *out = nullptr;
    detail::seen(kl_config_load(json_path, account, &out, err.raw()));
    return Config(out);
  }
  /// Sets one value; keys are KL_KEY_*. Both are copied. The error is that of this value: look before the next.
  kl_status set(const char *key, const char *value, Error &err) noexcept {
    return kl_config_set(get(), key, value, err.raw());
  }
#if KIOSKLINK_EXCEPTIONS
  /// Starts the settings of an account on a platform, KL_PLATFORM_*. Throws Error.
  explicit Config(const char *platform) {
    Error err;
    *this = detail::unless(err, Config(platform, err));
  }
  /// Reads the settings of an account from a JSON file. Throws Error.
  static Config load(const char *json_path, const char *account) {
    Error err;
    return detail::unless(err, load(json_path, account, err));
  }
  /// Sets one value; `config.set(…).set(…)`. Throws Error.
  Config &set(const char *key, const char *value) {
    Error err;
    detail::unless(err, set(key, value, err));
    return *this;
  }
#endif
};

/// How a job is run: kl_task_options. release is this header's own, and what is set there is not looked at.
struct TaskOptions : kl_task_options {
  TaskOptions() noexcept : kl_task_options KL_TASK_OPTIONS_INIT {}
};

/// A job: a callable of yours on a thread of the library, which Client::task_start makes. Destroying it forgets the result
/// only; the job goes on. The callable and what it captured die with this object if the job has ended, so in your loop; else
/// on the job's thread, when it has.
class Task : public detail::Record<kl_task, kl_task_info, kl_task_free, kl_task_view> {
 public:
  /// Empty.
  Task() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Task(kl_task *handle) noexcept : Record(handle) {}
  /// How far it is, KL_TASK_STATE_*; 0 if this is empty.
  kl_task_state state() const noexcept {
    const kl_task_info *info = kl_task_view(get());
    return info != nullptr ? info->state : 0;
  }
  /// What the callable returned; 0 before that, and if it threw.
  std::int32_t result() const noexcept {
    const kl_task_info *info = kl_task_view(get());
    return info != nullptr ? info->result : 0;
  }
  /// Cancels it for good: kl_task_cancel. A result is never replaced. For signal handlers too.
  void cancel() const noexcept { kl_task_cancel(get()); }
#if KIOSKLINK_EXCEPTIONS
  /// Throws what the callable threw, once it has ended; else does nothing. Only for a job of Client::task_start.
  void rethrow() const;
#endif
};

/// A time, and where it comes from.
struct Time {
  /// Unix seconds.
  std::int64_t unix_seconds;
  /// KL_TIME_SOURCE_*.
  kl_time_source source;
};

/// One account on one platform. Its calls may run on any number of threads at once; most of them block until the
/// platform has answered, timeout_ms at the longest.
class Client : public detail::Handle<kl_client, kl_client_free> {
 public:
  /// Empty.
  Client() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Client(kl_client *handle) noexcept : Handle(handle) {}
  /// Makes a client from settings: checks them and reads the certificate files; sends nothing. Empty if that failed.
  Client(const Config &config, Error &err) noexcept {
    kl_client *out = nullptr;
    detail::seen(kl_client_new(config.get(), &out, err.raw()));
    reset(out);
  }

  /// Ends every call in flight on this client with KL_E_CANCELLED, from any other thread.
  kl_status cancel(Error &err) const noexcept { return kl_client_cancel(get(), err.raw()); }
  /// A view: the same client with a timeout (0: this one's) and a cancel of its own. Empty if that failed.
  /// It ends with this one: name what it is made from.
  Client view(std::uint32_t timeout_ms, Error &err) const &noexcept {
    kl_view_options options = KL_VIEW_OPTIONS_INIT;
    kl_client *out = nullptr;
    options.timeout_ms = timeout_ms;
    detail::seen(kl_client_view(get(), &options, &out, err.raw()));
    return Client(out);
  }
  Client view(std::uint32_t timeout_ms, Error &err) const && = delete;
  /// A descriptor that is readable exactly while task_next has a job to give: kl_client_fd. -1 if that failed.
  std::int32_t fd(Error &err) const noexcept {
    std::int32_t fd = -1;
    detail::seen(kl_client_fd(get(), &fd, err.raw()));
    return fd;
  }
  /// Runs `function(view)` on a thread of the library and returns at once: kl_task_start. view is a `const Client &`, for the
  /// time of the job; what is returned must be a number. The callable is moved or copied. Empty if that failed.
  template <typename F, bool Throws = KIOSKLINK_EXCEPTIONS != 0>
  Task task_start(F &&function, const kl_task_options &options, Error &err) const;
  /// The next job that has ended, as the handle that Task::get() gives; nullptr for none. Then err is KL_E_PENDING if some
  /// are under way. Each is given once. It stays that Task's: kl_task_next.
  kl_task *task_next(Error &err) const noexcept {
    kl_task *task = nullptr;
    detail::seen(kl_task_next(get(), &task, err.raw()));
    return task;
  }
  /// Opens the connection before it is needed. Call it when a customer walks up.
  kl_status warm(Error &err) const noexcept { return kl_client_warm(get(), err.raw()); }
  /// Asks the platform whether it is there and takes the credentials.
  kl_status ping(Error &err) const noexcept { return kl_ping(get(), err.raw()); }
  /// The time as this client knows it. Both fields are 0 if that failed. Sends nothing.
  Time time(Error &err) const noexcept {
    Time time = {0, 0};
    detail::seen(kl_client_time(get(), &time.unix_seconds, &time.source, err.raw()));
    return time;
  }
  /// What this client and its views did so far: kl_client_stats. Sends nothing.
  kl_stats stats(Error &err) const noexcept {
    kl_stats stats = KL_STATS_INIT;
    detail::seen(kl_client_stats(get(), &stats, err.raw()));
    return stats;
  }

  /// Whether the platform has such a call, KL_VERB_*: kl_client_can. Sends nothing.
  bool can(kl_verb verb) const noexcept { return kl_client_can(get(), verb) == 1; }
  /// A new name for an act: kl_request_id_new. Empty if that failed. Sends nothing.
  RequestId request_id_new(Error &err) const noexcept {
    RequestId name;
    detail::seen(kl_request_id_new(get(), name.text_, sizeof name.text_, err.raw()));
    return name;
  }

  /// All cabinets of the account: kl_cabinet_list.
  Cabinets cabinet_list(Error &err) const noexcept { return cabinets(nullptr, err); }
  /// One page of them.
  Cabinets cabinet_list(const kl_page &page, Error &err) const noexcept { return cabinets(&page, err); }
  /// A walk through them, page_size at a time (0 for the most that the platform documents). Sends nothing yet.
  CabinetIter cabinet_iter(std::uint32_t page_size, Error &err) const noexcept {
    kl_cabinet_iter *out = nullptr;
    detail::seen(kl_cabinet_iter_new(get(), page_size, &out, err.raw()));
    return CabinetIter(out);
  }

  /// All goods of a cabinet: kl_stock_fetch.
  Stock stock_fetch(const char *cabinet_id, Error &err) const noexcept {
    kl_stock *out = nullptr;
    detail::seen(kl_stock_fetch(get(), cabinet_id, &out, err.raw()));
    return Stock(out);
  }
  /// One page of them; extra_json, more parameters as a JSON object, may be nullptr.
  Stock stock_fetch_page(const char *cabinet_id, const kl_page &page, const char *extra_json,
                         Error &err) const noexcept {
    return stock(cabinet_id, &page, extra_json, err);
  }
  /// All of them, with more parameters for the platform.
  Stock stock_fetch_all(const char *cabinet_id, const char *extra_json, Error &err) const noexcept {
    return stock(cabinet_id, nullptr, extra_json, err);
  }
  /// A walk through them, page_size at a time (0 for the most that the platform documents); extra_json may be nullptr.
  /// Sends nothing yet.
  StockIter stock_iter(const char *cabinet_id, std::uint32_t page_size, const char *extra_json,
                       Error &err) const noexcept {
    kl_stock_iter *out = nullptr;
    detail::seen(kl_stock_iter_new(get(), cabinet_id, page_size, extra_json, &out, err.raw()));
    return StockIter(out);
  }

  /// One order, as a list of one: kl_order_get.
  Orders order_get(const kl_order_ref &order, Error &err) const noexcept {
    kl_orders *out = nullptr;
    detail::seen(kl_order_get(get(), &order, &out, err.raw()));
    return Orders(out);
  }
  /// All orders of a period: kl_order_list.
  Orders order_list(const kl_order_query &query, Error &err) const noexcept { return orders(query, nullptr, err); }
  /// One page of them.
  Orders order_list(const kl_order_query &query, const kl_page &page, Error &err) const noexcept {
    return orders(query, &page, err);
  }
  /// A walk through them, page_size at a time (0 for the most that the platform documents). The query is copied. Sends
  /// nothing yet.
  OrderIter order_iter(const kl_order_query &query, std::uint32_t page_size, Error &err) const noexcept {
    kl_order_iter *out = nullptr;
    detail::seen(kl_order_iter_new(get(), &query, page_size, &out, err.raw()));
    return OrderIter(out);
  }
  /// Makes an order, at most once: kl_order_create. The outcome is in err.
  Orders order_create(const kl_order_create_request &request, Error &err) const noexcept {
    kl_orders *out = nullptr;
    detail::seen(kl_order_create(get(), &request, &out, err.raw()));
    return Orders(out);
  }
  /// Reports that an order was paid, or that the payment failed: kl_payment_report. The outcome is in err.
  Response payment_report(const kl_payment_report_request &request, Error &err) const noexcept {
    kl_response *out = nullptr;
    detail::seen(kl_payment_report(get(), &request, &out, err.raw()));
    return Response(out);
  }
  /// Asks for a refund on the customer's behalf: kl_refund_apply. The outcome is in err.
  Response refund_apply(const kl_claim_request &request, Error &err) const noexcept {
    kl_response *out = nullptr;
    detail::seen(kl_refund_apply(get(), &request, &out, err.raw()));
    return Response(out);
  }
  /// Disputes the goods of an order on the customer's behalf: kl_appeal_file. The outcome is in err.
  Response appeal_file(const kl_claim_request &request, Error &err) const noexcept {
    kl_response *out = nullptr;
    detail::seen(kl_appeal_file(get(), &request, &out, err.raw()));
    return Response(out);
  }

  /// Looks a code up without using it, as a list of one: kl_code_lookup.
  Codes code_lookup(const kl_code_query &query, Error &err) const noexcept {
    kl_codes *out = nullptr;
    detail::seen(kl_code_lookup(get(), &query, &out, err.raw()));
    return Codes(out);
  }
  /// The codes of some goods that can still be used: kl_code_list.
  Codes code_list(const kl_code_query &query, Error &err) const noexcept {
    kl_codes *out = nullptr;
    detail::seen(kl_code_list(get(), &query, &out, err.raw()));
    return Codes(out);
  }
  /// Makes codes, at most once: kl_code_create. The outcome is in err.
  Codes code_create(const kl_code_create_request &request, Error &err) const noexcept {
    kl_codes *out = nullptr;
    detail::seen(kl_code_create(get(), &request, &out, err.raw()));
    return Codes(out);
  }
  /// Cancels one code, or all of a cabinet: kl_code_cancel. The outcome is in err.
  Response code_cancel(const kl_code_cancel_request &request, Error &err) const noexcept {
    kl_response *out = nullptr;
    detail::seen(kl_code_cancel(get(), &request, &out, err.raw()));
    return Response(out);
  }

  /// Opens a door, at most once for a request_id: kl_door_open. A command comes back only if it is *done*; otherwise
  /// err.outcome() says *not done* (safe to try again) or *unknown* (it may have opened).
  Command door_open(const kl_door_request &request, Error &err) const noexcept {
    kl_command *out = nullptr;
    detail::seen(kl_door_open(get(), &request, &out, err.raw()));
    return Command(out);
  }
  /// Redeems a pickup code, at most once for a request_id: kl_code_redeem. A command comes back only if it is *done*;
  /// otherwise err.outcome() says *not done* or *unknown*.
  Command code_redeem(const kl_redeem_request &request, Error &err) const noexcept {
    kl_command *out = nullptr;
    detail::seen(kl_code_redeem(get(), &request, &out, err.raw()));
    return Command(out);
  }
  /// What door_open would refuse of this request: kl_door_check. Sends nothing.
  kl_status door_check(const kl_door_request &request, Error &err) const noexcept {
    return kl_door_check(get(), &request, err.raw());
  }
  /// What code_redeem would refuse of this request: kl_redeem_check. Sends nothing.
  kl_status redeem_check(const kl_redeem_request &request, Error &err) const noexcept {
    return kl_redeem_check(get(), &request, err.raw());
  }

  /// Verifies and parses a callback: kl_event_parse. headers are the HTTP request's header lines, separated by
  /// newlines, and may be nullptr; body is its body, byte for byte. The event may outlive the client.
  Event event_parse(const char *headers, const void *body, std::size_t len, Error &err) const noexcept {
    kl_event *out = nullptr;
    detail::seen(kl_event_parse(get(), headers, static_cast<const std::uint8_t *>(body), len, &out, err.raw()));
    return Event(out);
  }
  /// The person behind the account: kl_user_get.
  User user_get(Error &err) const noexcept {
    kl_user *out = nullptr;
    detail::seen(kl_user_get(get(), &out, err.raw()));
    return User(out);
  }
  /// The company behind the account: kl_company_get.
  Company company_get(Error &err) const noexcept {
    kl_company *out = nullptr;
    detail::seen(kl_company_get(get(), &out, err.raw()));
    return Company(out);
  }
  /// Makes any call of the platform by its own name: kl_call. params_json, a JSON object, may be nullptr.
  Response call(const char *method, const char *params_json, Error &err) const noexcept {
    kl_response *out = nullptr;
    detail::seen(kl_call(get(), method, params_json, &out, err.raw()));
    return Response(out);
  }

  /// What is recorded of a command, whatever its outcome: kl_command_get. Sends nothing.
  Command command_get(const char *request_id, Error &err) const noexcept {
    kl_command *out = nullptr;
    detail::seen(kl_command_get(get(), request_id, &out, err.raw()));
    return Command(out);
  }
  /// Waits up to timeout_ms for what physically came of a command: kl_command_wait. A command comes back only if the
  /// movement is confirmed; err.status() is else KL_E_PENDING, KL_E_NOT_MOVED, KL_E_UNSETTLED or KL_E_UNKNOWABLE. A
  /// callback about it that event_parse takes meanwhile, on any thread, ends the wait.
  Command command_wait(const char *request_id, std::uint32_t timeout_ms, Error &err) const noexcept {
    kl_command *out = nullptr;
    detail::seen(kl_command_wait(get(), request_id, timeout_ms, &out, err.raw()));
    return Command(out);
  }
  /// Finds out what became of a command without ever doing it again: kl_command_resolve. A command comes back only if
  /// it is *done*; otherwise err.outcome() says *not done* or *unknown*. With KL_ADVICE_CALL_PERSON there is no use in
  /// asking again.
  Command command_resolve(const char *request_id, Error &err) const noexcept {
    kl_command *out = nullptr;
    detail::seen(kl_command_resolve(get(), request_id, &out, err.raw()));
    return Command(out);
  }
  /// A sensor (KL_SETTLED_BY_SENSOR) or a person (KL_SETTLED_BY_PERSON) decides what became of a command, KL_DONE or
  /// KL_NOT_DONE: kl_command_settle. note may be nullptr. KL_E_TOO_EARLY while the request may still reach the machine.
  kl_status command_settle(const char *request_id, kl_outcome outcome, kl_settled_by by, const char *note,
                           Error &err) const noexcept {
    return kl_command_settle(get(), request_id, outcome, by, note, err.raw());
  }
  /// A person decides although it is too early to say not done: kl_command_overrule. note says who and why.
  kl_status command_overrule(const char *request_id, kl_outcome outcome, const char *note, Error &err) const noexcept {
    return kl_command_overrule(get(), request_id, outcome, note, err.raw());
  }
  /// The commands with a sequence above since that filter names, KL_COMMAND_FILTER_*, oldest first: kl_command_list.
  /// Sends nothing.
  Commands command_list(std::uint64_t since, kl_command_filter filter, Error &err) const noexcept {
    kl_commands *out = nullptr;
    detail::seen(kl_command_list(get(), since, filter, &out, err.raw()));
    return Commands(out);
  }
  /// Every command that is under way or unknown, oldest first: kl_command_pending. For after a start. Sends nothing.
  Commands command_pending(Error &err) const noexcept {
    kl_commands *out = nullptr;
    detail::seen(kl_command_pending(get(), &out, err.raw()));
    return Commands(out);
  }
  /// The visits that are open, oldest first, each with its commands: kl_visit_list. For after a start. Sends nothing.
  Visits visit_list(Error &err) const noexcept {
    kl_visits *out = nullptr;
    detail::seen(kl_visit_list(get(), &out, err.raw()));
    return Visits(out);
  }
  /// Ends a visit: kl_visit_close. Its commands stay as they are. Sends nothing.
  kl_status visit_close(const char *visit_id, Error &err) const noexcept {
    return kl_visit_close(get(), visit_id, err.raw());
  }
  /// How the journal does: kl_journal_read. Sends nothing.
  kl_journal_info journal_read(Error &err) const noexcept {
    kl_journal_info info = KL_JOURNAL_INFO_INIT;
    detail::seen(kl_journal_read(get(), &info, err.raw()));
    return info;
  }
  /// After KL_E_JOURNAL_DAMAGED, when a person has decided to go on: kl_journal_repair. What the damaged part knew is
  /// lost.
  kl_status journal_repair(Error &err) const noexcept { return kl_journal_repair(get(), err.raw()); }
  /// After KL_E_JOURNAL_MISSING, _OLDER or _COPIED, when a person has decided to go on: kl_journal_adopt. note says who
  /// and why.
  kl_status journal_adopt(const char *note, Error &err) const noexcept {
    return kl_journal_adopt(get(), note, err.raw());
  }

#if KIOSKLINK_EXCEPTIONS
  // The same calls without an error argument. All of them throw Error, a command that is not *done* included.

  /// Makes a client from settings.
  explicit Client(const Config &config) {
    Error err;
    *this = detail::unless(err, Client(config, err));
  }
  /// @overload
  void cancel() const {
    Error err;
    detail::unless(err, cancel(err));
  }
  /// @overload
  Client view(std::uint32_t timeout_ms = 0) const & {
    Error err;
    return detail::unless(err, view(timeout_ms, err));
  }
  Client view(std::uint32_t timeout_ms = 0) const && = delete;
  /// @overload
  std::int32_t fd() const {
    Error err;
    return detail::unless(err, fd(err));
  }
  /// @overload
  template <typename F> Task task_start(F &&function, const kl_task_options &options = TaskOptions()) const {
    Error err;
    return detail::unless(err, task_start(std::forward<F>(function), options, err));
  }
  /// The same; nullptr also if some are under way and none has ended.
  kl_task *task_next() const {
    Error err;
    kl_task *task = task_next(err);
    return err.status() == KL_E_PENDING ? nullptr : detail::unless(err, task);
  }
  /// @overload
  void warm() const {
    Error err;
    detail::unless(err, warm(err));
  }
  /// @overload
  void ping() const {
    Error err;
    detail::unless(err, ping(err));
  }
  /// @overload
  Time time() const {
    Error err;
    return detail::unless(err, time(err));
  }
  /// @overload
  kl_stats stats() const {
    Error err;
    return detail::unless(err, stats(err));
  }
  /// @overload
  Cabinets cabinet_list() const {
    Error err;
    return detail::unless(err, cabinet_list(err));
  }
  /// @overload
  Cabinets cabinet_list(const kl_page &page) const {
    Error err;
    return detail::unless(err, cabinet_list(page, err));
  }
  /// @overload
  CabinetIter cabinet_iter(std::uint32_t page_size = 0) const {
    Error err;
    return detail::unless(err, cabinet_iter(page_size, err));
  }
  /// @overload
  Stock stock_fetch(const char *cabinet_id) const {
    Error err;
    return detail::unless(err, stock_fetch(cabinet_id, err));
  }
  /// @overload
  Stock stock_fetch_page(const char *cabinet_id, const kl_page &page, const char *extra_json = nullptr) const {
    Error err;
    return detail::unless(err, stock_fetch_page(cabinet_id, page, extra_json, err));
  }
  /// @overload
  Stock stock_fetch_all(const char *cabinet_id, const char *extra_json) const {
    Error err;
    return detail::unless(err, stock_fetch_all(cabinet_id, extra_json, err));
  }
  /// @overload
  StockIter stock_iter(const char *cabinet_id, std::uint32_t page_size = 0, const char *extra_json = nullptr) const {
    Error err;
    return detail::unless(err, stock_iter(cabinet_id, page_size, extra_json, err));
  }
  /// @overload
  Orders order_get(const kl_order_ref &order) const {
    Error err;
    return detail::unless(err, order_get(order, err));
  }
  /// @overload
  Orders order_list(const kl_order_query &query) const {
    Error err;
    return detail::unless(err, order_list(query, err));
  }
  /// @overload
  Orders order_list(const kl_order_query &query, const kl_page &page) const {
    Error err;
    return detail::unless(err, order_list(query, page, err));
  }
  /// @overload
  OrderIter order_iter(const kl_order_query &query, std::uint32_t page_size = 0) const {
    Error err;
    return detail::unless(err, order_iter(query, page_size, err));
  }
  /// @overload
  Orders order_create(const kl_order_create_request &request) const {
    Error err;
    return detail::unless(err, order_create(request, err));
  }
  /// @overload
  Response payment_report(const kl_payment_report_request &request) const {
    Error err;
    return detail::unless(err, payment_report(request, err));
  }
  /// @overload
  Response refund_apply(const kl_claim_request &request) const {
    Error err;
    return detail::unless(err, refund_apply(request, err));
  }
  /// @overload
  Response appeal_file(const kl_claim_request &request) const {
    Error err;
    return detail::unless(err, appeal_file(request, err));
  }
  /// @overload
  Codes code_lookup(const kl_code_query &query) const {
    Error err;
    return detail::unless(err, code_lookup(query, err));
  }
  /// @overload
  Codes code_list(const kl_code_query &query) const {
    Error err;
    return detail::unless(err, code_list(query, err));
  }
  /// @overload
  Codes code_create(const kl_code_create_request &request) const {
    Error err;
    return detail::unless(err, code_create(request, err));
  }
  /// @overload
  Response code_cancel(const kl_code_cancel_request &request) const {
    Error err;
    return detail::unless(err, code_cancel(request, err));
  }
  /// @overload Only a command that is *done* comes back; look at Error::outcome() where it throws.
  Command door_open(const kl_door_request &request) const {
    Error err;
    return detail::unless(err, door_open(request, err));
  }
  /// @overload Only a command that is *done* comes back; look at Error::outcome() where it throws.
  Command code_redeem(const kl_redeem_request &request) const {
    Error err;
    return detail::unless(err, code_redeem(request, err));
  }
  /// @overload
  Event event_parse(const char *headers, const void *body, std::size_t len) const {
    Error err;
    return detail::unless(err, event_parse(headers, body, len, err));
  }
  /// @overload
  User user_get() const {
    Error err;
    return detail::unless(err, user_get(err));
  }
  /// @overload
  Company company_get() const {
    Error err;
    return detail::unless(err, company_get(err));
  }
  /// @overload
  Response call(const char *method, const char *params_json = nullptr) const {
    Error err;
    return detail::unless(err, call(method, params_json, err));
  }
  /// @overload
  Command command_get(const char *request_id) const {
    Error err;
    return detail::unless(err, command_get(request_id, err));
  }
  /// @overload Throws too if nothing moved, or not yet: KL_E_PENDING is no failure, so prefer the form above.
  Command command_wait(const char *request_id, std::uint32_t timeout_ms) const {
    Error err;
    return detail::unless(err, command_wait(request_id, timeout_ms, err));
  }
  /// @overload
  Command command_resolve(const char *request_id) const {
    Error err;
    return detail::unless(err, command_resolve(request_id, err));
  }
  /// @overload
  void command_settle(const char *request_id, kl_outcome outcome, kl_settled_by by, const char *note = nullptr) const {
    Error err;
    detail::unless(err, command_settle(request_id, outcome, by, note, err));
  }
  /// @overload
  Commands command_pending() const {
    Error err;
    return detail::unless(err, command_pending(err));
  }
  /// @overload
  Visits visit_list() const {
    Error err;
    return detail::unless(err, visit_list(err));
  }
  /// @overload
  void visit_close(const char *visit_id) const {
    Error err;
    detail::unless(err, visit_close(visit_id, err));
  }
  /// @overload
  kl_journal_info journal_read() const {
    Error err;
    return detail::unless(err, journal_read(err));
  }
  /// @overload
  void journal_repair() const {
    Error err;
    detail::unless(err, journal_repair(err));
  }
  /// @overload
  void journal_adopt(const char *note) const {
    Error err;
    detail::unless(err, journal_adopt(note, err));
  }
  /// @overload
  RequestId request_id_new() const {
    Error err;
    return detail::unless(err, request_id_new(err));
  }
  /// @overload
  void door_check(const kl_door_request &request) const {
    Error err;
    detail::unless(err, door_check(request, err));
  }
  /// @overload
  void redeem_check(const kl_redeem_request &request) const {
    Error err;
    detail::unless(err, redeem_check(request, err));
  }
  /// @overload
  void command_overrule(const char *request_id, kl_outcome outcome, const char *note) const {
    Error err;
    detail::unless(err, command_overrule(request_id, outcome, note, err));
  }
  /// @overload
  Commands command_list(std::uint64_t since = 0, kl_command_filter filter = KL_COMMAND_FILTER_ANY) const {
    Error err;
    return detail::unless(err, command_list(since, filter, err));
  }
#endif

 private:
  Cabinets cabinets(const kl_page *page, Error &err) const noexcept {
    kl_cabinets *out = nullptr;
    detail::seen(kl_cabinet_list(get(), page, &out, err.raw()));
    return Cabinets(out);
  }
  Stock stock(const char *cabinet_id, const kl_page *page, const char *extra_json, Error &err) const noexcept {
    kl_stock *out = nullptr;
    detail::seen(kl_stock_fetch_page(get(), cabinet_id, page, extra_json, &out, err.raw()));
    return Stock(out);
  }
  Orders orders(const kl_order_query &query, const kl_page *page, Error &err) const noexcept {
    kl_orders *out = nullptr;
    detail::seen(kl_order_list(get(), &query, page, &out, err.raw()));
    return Orders(out);
  }
};

/// One connection on which callbacks come: kl_http_new. The socket stays yours. An event that nobody replied to when this
/// ends was not taken: it comes again and is no duplicate.
///
/// A step is borrowed: it ends with the next call on this, and with this.
class Http : public detail::Handle<kl_http, kl_http_free> {
 public:
  /// Empty.
  Http() noexcept {}
  /// Takes a C handle over, nullptr for none.
  explicit Http(kl_http *handle) noexcept : Handle(handle) {}
  /// For a connection that was accepted; the bounds of KL_HTTP_OPTIONS_INIT are the usual ones. Empty if that failed.
  Http(const kl_http_options &options, Error &err) noexcept {
    kl_http *out = nullptr;
    detail::seen(kl_http_new(&options, &out, err.raw()));
    reset(out);
  }
  /// Adds an account whose callbacks come on path, or with nullptr on every path that no account has: kl_http_add.
  kl_status add(const Client &client, const char *path, Error &err) noexcept {
    return kl_http_add(get(), client.get(), path, err.raw());
  }
  /// Takes what was read, all of it, 0 bytes for the end, and says what to do next: kl_http_feed. An event is looked up in
  /// the journal, which may wait for the disk. err says why a request was refused; the step is there all the same, and
  /// nullptr only if this is empty or an event waits for its reply.
  const kl_http_step *feed(const void *bytes, std::size_t len, Error &err) & noexcept {
    const kl_http_step *step = nullptr;
    detail::seen(kl_http_feed(get(), static_cast<const std::uint8_t *>(bytes), len, &step, err.raw()));
    return step;
  }
  const kl_http_step *feed(const void *bytes, std::size_t len, Error &err) && = delete;
  /// Time has passed: kl_http_tick. Call it before the first read, and when nothing came for wait_ms. As feed.
  const kl_http_step *tick(Error &err) & noexcept {
    const kl_http_step *step = nullptr;
    detail::seen(kl_http_tick(get(), &step, err.raw()));
    return step;
  }
  const kl_http_step *tick(Error &err) && = delete;
  /// Answers the event of KL_HTTP_ACTION_EVENT: kl_http_reply. Code 0 means taken, which is on the disk when this returns; any other
  /// asks the platform to come again. message and data_json (a JSON object) may be nullptr. nullptr if that failed: then the
  /// event still waits.
  const kl_http_step *reply(std::int32_t code, const char *message, const char *data_json, Error &err) & noexcept {
    const kl_http_step *step = nullptr;
    detail::seen(kl_http_reply(get(), code, message, data_json, &step, err.raw()));
    return step;
  }
  const kl_http_step *reply(std::int32_t code, const char *message, const char *data_json, Error &err) && = delete;
#if KIOSKLINK_EXCEPTIONS
  /// For a connection that was accepted. Throws Error.
  explicit Http(const kl_http_options &options) {
    Error err;
    *this = detail::unless(err, Http(options, err));
  }
  /// Adds an account; `http.add(…).add(…)`. Throws Error.
  Http &add(const Client &client, const char *path = nullptr) {
    Error err;
    detail::unless(err, add(client, path, err));
    return *this;
  }
  /// As feed with an Error. Never nullptr: throws Error if there is no step, and not because a request was refused.
  const kl_http_step *feed(const void *bytes, std::size_t len) & {
    Error err;
    return there(feed(bytes, len, err), err);
  }
  const kl_http_step *feed(const void *bytes, std::size_t len) && = delete;
  /// As tick with an Error. Never nullptr, as feed.
  const kl_http_step *tick() & {
    Error err;
    return there(tick(err), err);
  }
  const kl_http_step *tick() && = delete;
  /// As reply with an Error. Never nullptr. Throws Error.
  const kl_http_step *reply(std::int32_t code, const char *message = nullptr, const char *data_json = nullptr) & {
    Error err;
    return there(reply(code, message, data_json, err), err);
  }
  const kl_http_step *reply(std::int32_t code, const char *message = nullptr, const char *data_json = nullptr) && = delete;

 private:
  static const kl_http_step *there(const kl_http_step *step, const Error &err) {
    if (step == nullptr) throw Error(err);
    return step;
  }
#endif
};

namespace detail {

// What is known of a job's callable without its type, and the same with and without exceptions.
struct JobBase {
  explicit JobBase(void (*rethrow_)(const JobBase &)) noexcept : rethrow(rethrow_) {}
  void (*rethrow)(const JobBase &);
};

// The library's view, for the time of the job.
struct Lent {
  explicit Lent(kl_client *handle) noexcept : client(handle) {}
  ~Lent() { client.release(); }
  Lent(const Lent &) = delete;
  Lent &operator=(const Lent &) = delete;
  Client client;
};

template <typename F, bool Throws> struct Job : JobBase {
  template <typename G> explicit Job(G &&from) : JobBase(nullptr), function(std::forward<G>(from)) {}
  static std::int32_t run(kl_client *client, void *user) {
    Lent view(client);
    const Client &lent = view.client;
    return static_cast<std::int32_t>(static_cast<Job *>(static_cast<JobBase *>(user))->function(lent));
  }
  static void release(void *user) { delete static_cast<Job *>(static_cast<JobBase *>(user)); }
  F function;
};

#if KIOSKLINK_EXCEPTIONS
template <typename F> struct Job<F, true> : JobBase {
  template <typename G> explicit Job(G &&from) : JobBase(again), function(std::forward<G>(from)) {}
  static std::int32_t run(kl_client *client, void *user) {
    Job &job = *static_cast<Job *>(static_cast<JobBase *>(user));
    Lent view(client);
    const Client &lent = view.client;
    try {
      return static_cast<std::int32_t>(job.function(lent));
#if defined(__GLIBCXX__)
    } catch (abi::__forced_unwind &) {
      // pthread_exit: it must get through.
      throw;
#endif
    } catch (...) {
      job.thrown = std::current_exception();
    }
    return 0;
  }
  static void release(void *user) { delete static_cast<Job *>(static_cast<JobBase *>(user)); }
  static void again(const JobBase &job) {
    if (static_cast<const Job &>(job).thrown) std::rethrow_exception(static_cast<const Job &>(job).thrown);
  }
  F function;
  std::exception_ptr thrown;
};
#endif

}  // namespace detail

template <typename F, bool Throws>
Task Client::task_start(F &&function, const kl_task_options &options, Error &err) const {
  typedef detail::Job<typename std::decay<F>::type, Throws> Job;
  kl_task *task = nullptr;
  Job *job = new (std::nothrow) Job(std::forward<F>(function));
  if (job == nullptr) {
    kl_error none = KL_ERROR_INIT;
    none.status = KL_E_RESOURCE;
    none.advice = KL_ADVICE_RETRY;
    err = Error(none);
    return Task();
  }
  kl_task_options own = detail::copied(options, kl_task_options KL_TASK_OPTIONS_INIT, sizeof options);
  own.release = Job::release;
  if (kl_task_start(get(), Job::run, static_cast<detail::JobBase *>(job), &own, &task, err.raw()) != KL_OK) delete job;
  return Task(task);
}

#if KIOSKLINK_EXCEPTIONS
inline void Task::rethrow() const {
  const kl_task_info *info = kl_task_view(get());
  if (info == nullptr || info->state != KL_TASK_STATE_RETURNED) return;
  const detail::JobBase *job = static_cast<const detail::JobBase *>(info->user);
  if (job != nullptr && job->rethrow != nullptr) job->rethrow(*job);
}
#endif

// ---------------------------------------------------------------------------------------------------------------------

/// The library's version, "0.2.0". Static.
inline const char *version() noexcept { return kl_version(); }
/// The ABI that the library was built with.
inline std::uint32_t abi_version() noexcept { return kl_abi_version(); }
/// Whether this program's header fits the library. Look at it when the program starts.
inline bool abi_matches() noexcept { return kl_abi_version() == KL_ABI_VERSION; }
/// What was built, in one line. Static.
inline const char *build_info() noexcept { return kl_build_info(); }
/// The name of a status, "KL_E_?" for one that this version does not know. Static.
inline const char *status_name(kl_status status) noexcept { return kl_status_name(status); }

/// Hands in a time that the firmware trusts more than the device's clock, in Unix seconds; 0 forgets it. For the whole
/// process, from any thread.
inline kl_status set_time(std::int64_t unix_seconds, Error &err) noexcept {
  return kl_set_time(unix_seconds, err.raw());
}
/// Sends log lines up to level, KL_LOG_LEVEL_*, to a plain function; nullptr ends that. For the whole process. The
/// function runs on whichever thread makes a call, on several at once, and must not call kiosklink nor throw: kl_set_log.
inline kl_status set_log(kl_log_level level, kl_log_fn callback, void *user, Error &err) noexcept {
  return kl_set_log(level, callback, user, err.raw());
}
#if KIOSKLINK_EXCEPTIONS
/// @overload Throws Error.
inline void set_time(std::int64_t unix_seconds) {
  Error err;
  detail::unless(err, set_time(unix_seconds, err));
}
/// @overload Throws Error.
inline void set_log(kl_log_level level, kl_log_fn callback, void *user) {
  Error err;
  detail::unless(err, set_log(level, callback, user, err));
}
#endif

/// Sends the log to an object of yours while this one lives: `sink(level, line)` is called, on whichever thread makes a
/// call, on several at once. line is borrowed for the call. The sink must not call kiosklink; what it throws is
/// dropped.
///
///     auto sink = [](kl_log_level level, const char *line) { … };
///     kiosklink::Log<decltype(sink)> log(KL_LOG_LEVEL_INFO, sink, err);
///
/// The sink is borrowed and must outlive this object; once the destructor has returned it is not called any more. There
/// is one log for the process: a second Log replaces the first, and the end of either ends it. Not to be destroyed from
/// inside the sink. A child after fork begins without a log.
template <typename Sink> class Log {
 public:
  /// Begins; err tells whether it did.
  Log(kl_log_level level, Sink &sink, Error &err) noexcept
      : began_(kl_set_log(level, line, &sink, err.raw()) == KL_OK) {}
#if KIOSKLINK_EXCEPTIONS
  /// Begins. Throws Error.
  Log(kl_log_level level, Sink &sink) : began_(false) {
    Error err;
    detail::unless(err, kl_set_log(level, line, &sink, err.raw()));
    began_ = true;
  }
#endif
  /// Ends; waits for lines that are being delivered.
  ~Log() {
    if (began_) detail::seen(kl_set_log(KL_LOG_LEVEL_OFF, nullptr, nullptr, nullptr));
  }
  Log(const Log &) = delete;
  Log &operator=(const Log &) = delete;

 private:
  static void line(void *user, kl_log_level level, const char *text) noexcept {
    Sink &sink = *static_cast<Sink *>(user);
#if KIOSKLINK_EXCEPTIONS
    try {
      sink(level, text);
    } catch (...) {
    }
#else
    sink(level, text);
#endif
  }

  bool began_;
};

}  // namespace KIOSKLINK_INLINE_NAMESPACE
}  // namespace kiosklink

#undef KIOSKLINK_INLINE_NAMESPACE
#undef KIOSKLINK_PUBLIC_TYPE

#endif  // KIOSKLINK_HPP
